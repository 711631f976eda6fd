import { randomInt } from 'node:crypto';
import { createSocket } from 'node:dgram';
import { createServer } from 'node:net';

/**
 * Range below the ephemeral ports of Linux and macOS. So no outgoing connection can use the port after it is found
 * and before its server starts.
 */
const lowest = 10_000;
const highest = 32_000;
const attemptsMax = 100;

/** Ports that this process has reserved. */
const claimed = new Set<number>();

/**
 * Reserves a free loopback port: the preferred port if it is free, otherwise another. The reservation lasts until
 * this process ends, even while no server listens on the port. So stacks and tests that start at the same time never
 * use the same port. A process can reserve its own port again.
 */
export async function freePort(preferred?: number): Promise<number> {
  if (preferred !== undefined && (await isFree(preferred)) && (await claim(preferred))) return preferred;
  for (let attempt = 0; attempt < attemptsMax; attempt += 1) {
    const port = randomInt(lowest, highest);
    if (!claimed.has(port) && (await isFree(port)) && (await claim(port))) return port;
  }
  throw new Error(`no free port was found among ${attemptsMax} between ${lowest} and ${highest}`);
}

/** Whether a server could listen on the loopback port now. */
export function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(false));
    server.listen({ port, host: '127.0.0.1', exclusive: true }, () => server.close(() => resolve(true)));
  });
}

/**
 * Reserves a port by binding the UDP port with the same number, which no server here uses. The operating system
 * releases it when the process ends.
 */
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
