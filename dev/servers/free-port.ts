import { createServer } from 'node:net';

/** A loopback port nobody listens on: the preferred one where it is free, any other otherwise. */
export async function freePort(preferred = 0): Promise<number> {
  try {
    return await probe(preferred);
  } catch (error) {
    if (preferred === 0) throw error;
    return probe(0);
  }
}

function probe(port: number): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen({ port, host: '127.0.0.1', exclusive: true }, () => {
      const address = server.address();
      server.close(() => {
        if (address === null || typeof address === 'string') reject(new Error('no port was given'));
        else resolve(address.port);
      });
    });
  });
}
