import { randomInt } from 'node:crypto';
import { createSocket } from 'node:dgram';
import { createServer } from 'node:net';

/**
 * Below what Linux and macOS hand out to outgoing connections: a port found here is not taken by one of those while
 * the server that is to have it still starts.
 */
const lowest = 10_000;
const highest = 32_000;
const attemptsMax = 100;

/** Ports of this process. */
const claimed = new Set<number>();

/**
 * A loopback port nobody listens on: the preferred one where it is free, any other otherwise. It stays this process's own
 * until it ends, also before a server listens on it and between two that do: stacks and tests that start at one moment
 * never get the same. A process may ask again for a port that it has.
 */
export async function freePort(preferred?: number): Promise<number> {
  if (preferred !== undefined && (await isFree(preferred)) && (await claim(preferred))) return preferred;
  for (let attempt = 0; attempt < attemptsMax; attempt += 1) {
    const port = randomInt(lowest, highest);
    if (!claimed.has(port) && (await isFree(port)) && (await claim(port))) return port;
  }
  throw new Error(`no free port was found among ${attemptsMax} between ${lowest} and ${highest}`);
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(false));
    server.listen({ port, host: '127.0.0.1', exclusive: true }, () => server.close(() => resolve(true)));
  });
}

/** By the UDP port of the same number, which no server here uses: the system frees it with the process, however that ends. */
function claim(port: number): Promise<boolean> {
  if (claimed.has(port)) return Promise.resolve(true);
  claimed.add(port);
  return new Promise((resolve) => {
    const socket = createSocket('udp4');
    socket.once('error', () => {
      claimed.delete(port);
      socket.close();
      resolve(false);
    });
    socket.bind({ port, address: '127.0.0.1', exclusive: true }, () => {
      socket.unref();
      resolve(true);
    });
  });
}
