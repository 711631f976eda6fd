import type { IncomingMessage } from 'node:http';
import type { Fault } from './fault.ts';

/**
 * Returns the fault of header sections that Node's parser accepts and the standard forbids, or null. It checks transfer
 * codings (RFC 9112, 6.1 and 6.3), Host (RFC 9112, 3.2) and Expect (RFC 9110, 10.1.1). Other servers may frame or route
 * a request with an invalid transfer coding or Host differently (request smuggling: RFC 9112, 11.2). A client that
 * sends an unknown expectation would wait for a response that never comes.
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

/** Counts the Host fields in `rawHeaders`, because `headers` contains only the first one. */
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
