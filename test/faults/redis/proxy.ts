import { connect, createServer } from 'node:net';
import type { AddressInfo, Socket } from 'node:net';

/** In mode `swallow` connections stay open, but all data is lost, as on a dead network path. */
export type ProxyMode =
  | { readonly kind: 'pass' }
  | { readonly kind: 'swallow' }
  | { readonly kind: 'slow'; readonly delayMs: number };

export interface Proxy {
  readonly url: string;
  set(mode: ProxyMode): void;
  /** Closes open connections and connects new ones to another server, as after a failover of an address. */
  retarget(port: number): void;
  close(): void;
}

/** Starts a TCP proxy to a server. A test can make this network path dead or slow. */
export async function startProxy(targetPort: number): Promise<Proxy> {
  let mode: ProxyMode = { kind: 'pass' };
  let port = targetPort;
  const sockets = new Set<Socket>();
  const server = createServer((client) => {
    // A connection that is opened on a dead path never carries data.
    const dead = mode.kind === 'swallow';
    const upstream = connect(port, '127.0.0.1');
    for (const [from, to] of [
      [client, upstream],
      [upstream, client],
    ] as const) {
      sockets.add(from);
      from.on('data', (data) => forward(data, to, dead));
      from.on('error', () => undefined);
      from.on('close', () => {
        sockets.delete(from);
        to.destroy();
      });
    }
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `redis://127.0.0.1:${(server.address() as AddressInfo).port}`,
    set: (next) => void (mode = next),
    retarget: (next) => {
      port = next;
      cut();
    },
    close: () => {
      server.close();
      cut();
    },
  };

  function cut(): void {
    for (const socket of sockets) socket.destroy();
  }

  function forward(data: Buffer, to: Socket, dead: boolean): void {
    if (dead || mode.kind === 'swallow') return;
    if (mode.kind === 'pass') to.write(data);
    else setTimeout(() => to.writable && to.write(data), mode.delayMs);
  }
}
