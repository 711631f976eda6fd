import { once } from 'node:events';
import { createServer } from 'node:http';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

/** What happens to a request on its way to the API. */
export type Fault = 'none' | 'full' | 'limited' | 'reset' | 'late answer' | 'lost answer';

export interface FaultyApi {
  readonly url: string;
  /** How often each fault happened. */
  readonly counts: Readonly<Record<Fault, number>>;
  close(): void;
}

/** Timeout for a client of this API: longer than a busy machine needs for an answer, and shorter than that of a late one. */
export const faultyTimeoutMs = 1_500;
const lateMs = 2_000;

/**
 * A proxy in front of the real API that injects faults. With `lost answer` and `late answer` the API has stored the
 * events and the client does not learn it, so that the client sends them again.
 */
export async function startFaultyApi(api: string, chooseFault: () => Fault): Promise<FaultyApi> {
  const counts = { none: 0, full: 0, limited: 0, reset: 0, 'late answer': 0, 'lost answer': 0 };
  const server = createServer((request, response) => {
    const fault = chooseFault();
    counts[fault] += 1;
    serve(api, request, response, fault).catch(() => response.destroy());
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    counts,
    close: () => {
      server.close();
      server.closeAllConnections();
    },
  };
}

async function serve(
  api: string,
  request: IncomingMessage,
  response: ServerResponse,
  fault: Fault,
): Promise<void> {
  if (fault === 'reset') {
    response.destroy();
    return;
  }
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  if (fault === 'full' || fault === 'limited') {
    response.writeHead(fault === 'full' ? 503 : 429, { 'retry-after': '0' }).end();
    return;
  }
  const { authorization = '', 'content-type': type = '' } = request.headers;
  const answer = await fetch(api + (request.url ?? ''), {
    method: request.method ?? 'GET',
    headers: { authorization, 'content-type': type },
    body: Buffer.concat(chunks),
  });
  const body = await answer.text();
  if (fault === 'lost answer') {
    response.destroy();
    return;
  }
  const send = (): void => {
    response.writeHead(answer.status, { 'content-type': answer.headers.get('content-type') ?? '' }).end(body);
  };
  if (fault === 'late answer') setTimeout(send, lateMs);
  else send();
}
