import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Webhook } from 'standardwebhooks';
import type { AlertEvent } from '../../../shared/domain/topics/alert.ts';

export interface Received {
  readonly path: string;
  readonly id: string;
  readonly alert: AlertEvent;
  readonly type: string;
  readonly sender: Readonly<Record<string, string>>;
  readonly atMs: number;
}

/**
 * A receiver of Standard Webhooks. An independent library verifies each message; a message with an invalid signature
 * gets a 401 and is not added to `received`.
 */
export interface Receiver {
  readonly url: string;
  readonly received: Received[];
  /** Messages without a valid signature. */
  readonly rejected: string[];
  /** Sets the status of the next responses to a path. The default is 200. */
  answer(path: string, status: number): void;
  close(): Promise<void>;
}

export async function startReceiver(secret: string): Promise<Receiver> {
  const received: Received[] = [];
  const rejected: string[] = [];
  const statuses = new Map<string, number>();
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      const body = Buffer.concat(chunks).toString();
      const path = request.url ?? '';
      try {
        const headers = request.headers as Record<string, string>;
        const payload = new Webhook(secret).verify(body, headers) as Pick<Received, 'type' | 'sender'> & {
          data: AlertEvent;
        };
        const id = headers['webhook-id'] ?? '';
        const { data: alert, type, sender } = payload;
        received.push({ path, id, alert, type, sender, atMs: Date.now() });
        response.writeHead(statuses.get(path) ?? 200).end();
      } catch (error) {
        rejected.push(`${String(error)} ${body}`);
        response.writeHead(401).end();
      }
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    received,
    rejected,
    answer: (path, status) => void statuses.set(path, status),
    close: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
