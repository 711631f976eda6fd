import { randomInt } from 'node:crypto';
import { createSocket } from 'node:dgram';
import { createServer } from 'node:net';

/**
 * Below the ephemeral ports of Linux and macOS, so that no outgoing connection uses a port between the moment it is found
 * and the start of its server.
 */
const lowest = 10_000;
const highest = 32_000;
const attemptsMax = 100;

/** Ports that this process has reserved. */
const claimed = new Set<number>();

/**
 * Reserves a free loopback port: the preferred port if it is free, else another one. The reservation holds until this
 * process ends, also while no server listens, so that stacks and tests that start at once never share a port. A process may
 * reserve its own port again.
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

/** Reserves by binding the UDP port of the same number, which no server here uses. The system releases it when the process ends. */
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
