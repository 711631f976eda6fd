import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';

/** One alert in a notification of Alertmanager. */
export interface ReceivedAlert {
  readonly name: string;
  /** The receiver in Alertmanager's configuration: `on-call` or `team`. */
  readonly receiver: string;
  readonly status: 'firing' | 'resolved';
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
  readonly atMs: number;
  /** Number of the notification, which can contain several alerts. */
  readonly notification: number;
}

/** Receives notifications for on-call: an HTTP server for Alertmanager's webhook format. */
export interface OnCall {
  readonly url: string;
  /** Received alerts in the order of their arrival. */
  readonly received: readonly ReceivedAlert[];
  /** Returns the latest notification of an alert; undefined if there was none. */
  latest(name: string): ReceivedAlert | undefined;
  close(): void;
}

interface Notification {
  readonly version: string;
  readonly alerts: readonly (Pick<ReceivedAlert, 'status' | 'labels' | 'annotations'> & object)[];
}

export async function startOnCall(): Promise<OnCall> {
  const received: ReceivedAlert[] = [];
  let notifications = 0;
  const server = createServer((request, response) => {
    void text(request).then((body) => {
      const { version, alerts } = JSON.parse(body) as Notification;
      if (version !== '4') throw new Error(`Alertmanager sent version ${version}`);
      notifications += 1;
      for (const { status, labels, annotations } of alerts) {
        const name = labels['alertname'] ?? '';
        const receiver = (request.url ?? '').slice(1);
        const one = { name, receiver, status, labels, annotations, atMs: Date.now() };
        received.push({ ...one, notification: notifications });
      }
      response.end();
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    received,
    latest: (name) => received.findLast((one) => one.name === name),
    close: () => {
      server.closeAllConnections();
      server.close();
    },
  };
}
