import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';

/** What Alertmanager told of one alert. */
export interface Told {
  readonly name: string;
  /** `on-call` or `team`. */
  readonly receiver: string;
  readonly status: 'firing' | 'resolved';
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
  readonly atMs: number;
}

/** Whoever is on call: an HTTP receiver of Alertmanager's webhook format. */
export interface OnCall {
  readonly url: string;
  /** In order of arrival. */
  readonly told: readonly Told[];
  /** The latest that was told of an alert; undefined when it never was. */
  latest(name: string): Told | undefined;
  close(): void;
}

interface Notification {
  readonly version: string;
  readonly alerts: readonly (Pick<Told, 'status' | 'labels' | 'annotations'> & object)[];
}

export async function startOnCall(): Promise<OnCall> {
  const told: Told[] = [];
  const server = createServer((request, response) => {
    void text(request).then((body) => {
      const { version, alerts } = JSON.parse(body) as Notification;
      if (version !== '4') throw new Error(`Alertmanager speaks version ${version}`);
      for (const { status, labels, annotations } of alerts) {
        const name = labels['alertname'] ?? '';
        const receiver = (request.url ?? '').slice(1);
        told.push({ name, receiver, status, labels, annotations, atMs: Date.now() });
      }
      response.end();
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    told,
    latest: (name) => told.findLast((one) => one.name === name),
    close: () => {
      server.closeAllConnections();
      server.close();
    },
  };
}
