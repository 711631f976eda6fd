import { Agent, request } from 'node:http';
import type { FastifyInstance } from 'fastify';
import type { AddressInfo } from 'node:net';

export interface Call {
  readonly method: string;
  /** The request target, sent without any change. */
  readonly target: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string | null;
}

export interface Client {
  readonly origin: string;
  /** Sends the request and resolves with the status of the response. Rejects after 20 s. */
  send(call: Call): Promise<number>;
  close(): void;
}

const agent = (): Agent => new Agent({ keepAlive: true, maxSockets: 8 });
const timeoutMs = 20_000;

/** An HTTP client that sends the request target without normalizing it. */
export async function clientOf(app: FastifyInstance): Promise<Client> {
  if (!app.server.listening) await app.listen({ host: '127.0.0.1', port: 0 });
  const { port } = app.server.address() as AddressInfo;
  const connections = agent();
  return {
    origin: `http://127.0.0.1:${port}`,
    send: ({ method, target, headers, body }) =>
      new Promise((resolve, reject) => {
        const sent = request({
          host: '127.0.0.1',
          port,
          agent: connections,
          method,
          path: target,
          headers: body === null ? headers : { ...headers, 'content-length': Buffer.byteLength(body) },
          timeout: timeoutMs,
        });
        sent.on('response', (response) => {
          response.resume();
          response.on('end', () => resolve(response.statusCode ?? 0));
          // A stream of events has no end.
          if (response.headers['content-type'] === 'text/event-stream') {
            resolve(response.statusCode ?? 0);
            sent.destroy();
          }
        });
        sent.on('timeout', () => sent.destroy(new Error(`${method} ${target}: no answer`)));
        sent.on('error', reject);
        sent.end(body ?? undefined);
      }),
    close: () => connections.destroy(),
  };
}
