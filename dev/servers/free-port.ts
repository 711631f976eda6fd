import { randomInt } from 'node:crypto';
import { createServer } from 'node:net';

/**
 * Below what Linux and macOS hand out to outgoing connections: a port found here is not taken by one of those while
 * the server that is to have it still starts.
 */
const lowest = 10_000;
const highest = 32_000;
const attemptsMax = 100;

/** A loopback port nobody listens on: the preferred one where it is free, any other otherwise. */
export async function freePort(preferred?: number): Promise<number> {
  if (preferred !== undefined && (await isFree(preferred))) return preferred;
  for (let attempt = 0; attempt < attemptsMax; attempt += 1) {
    const port = randomInt(lowest, highest);
    if (await isFree(port)) return port;
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
