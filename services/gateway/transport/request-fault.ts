import type { IncomingMessage } from 'node:http';
import type { Fault } from './fault.ts';

/**
 * What a header section must not hold (RFC 9110, RFC 9112) although Node's parser accepts it: other servers frame or
 * route such requests differently, or wait for an answer that never comes.
 */
export function requestFault(request: IncomingMessage): Fault | null {
  const { headers, httpVersionMajor, httpVersionMinor } = request;
  if (httpVersionMajor !== 1) return { status: 505, detail: 'Only HTTP/1.0 and HTTP/1.1 are served here.' };
  const coding = headers['transfer-encoding'];
  if (httpVersionMinor === 0) return coding === undefined ? hostFault(request) : codingInHttp10;
  if (headers.host === undefined) return { status: 400, detail: 'The request has no Host header.' };
  if (coding !== undefined && coding.toLowerCase() !== 'chunked') {
    return /(?:^|[\s,])chunked$/i.test(coding)
      ? { status: 501, detail: 'The only transfer coding that is served here is chunked.' }
      : { status: 400, detail: 'The last transfer coding of a request must be chunked.' };
  }
  if (headers.expect !== undefined && !isContinue(headers.expect)) {
    return { status: 417, detail: 'The only expectation that is met here is 100-continue.' };
  }
  return hostFault(request);
}

const codingInHttp10: Fault = { status: 400, detail: 'HTTP/1.0 has no Transfer-Encoding.' };

/** Node keeps the first of several and drops the rest, so they are counted where all of them are. */
function hostFault({ rawHeaders }: IncomingMessage): Fault | null {
  let hosts = 0;
  for (let index = 0; index < rawHeaders.length; index += 2) {
    const name = rawHeaders[index];
    if (name?.length === 4 && name.toLowerCase() === 'host') hosts += 1;
  }
  return hosts > 1 ? { status: 400, detail: 'The request has more than one Host header.' } : null;
}

function isContinue(expect: string): boolean {
  return expect.toLowerCase() === '100-continue';
}
