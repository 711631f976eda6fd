import { connect, createServer } from 'node:net';
import type { Server, Socket } from 'node:net';
import { freePort } from '../../../dev/servers/free-port.ts';

/** The address of a server that starts later: connections are refused until `come` is called. */
export interface LateServer {
  readonly port: number;
  come(): Promise<void>;
  close(): void;
}

export async function createLateServer(targetPort: number): Promise<LateServer> {
  const port = await freePort();
  const sockets = new Set<Socket>();
  let server: Server | null = null;
  return {
    port,
    come: () =>
      new Promise((resolve, reject) => {
        server = createServer((client) => relay(client, connect(targetPort, '127.0.0.1')));
        server.once('error', reject).listen(port, '127.0.0.1', resolve);
      }),
    close: () => {
      server?.close();
      for (const socket of sockets) socket.destroy();
    },
  };

  function relay(client: Socket, upstream: Socket): void {
    client.pipe(upstream);
    upstream.pipe(client);
    for (const [own, other] of [
      [client, upstream],
      [upstream, client],
    ] as const) {
      sockets.add(own);
      own.on('error', () => other.destroy());
      own.on('close', () => {
        sockets.delete(own);
        other.destroy();
      });
    }
  }
}
