import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { runInNewContext } from 'node:vm';
import { expect, test } from 'vitest';
import { samplesFor } from '../../../services/console/portal/guide/guide-samples.ts';

test('E5: the JavaScript sample waits as Retry-After says, tries again, and gives up after its bound', async () => {
  const waitsMs: number[] = [];
  let refusals = 2;
  const server = createServer((_request, response) => {
    if (refusals > 0) response.writeHead(429, { 'retry-after': String(refusals) }).end('{}');
    else response.writeHead(200).end('done');
    refusals -= 1;
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  try {
    const [code = ''] =
      samplesFor('/')
        .find(({ id }) => id === 'fetch')
        ?.code.split('\n\n') ?? [];
    const callApi = runInNewContext(`(${code})`, {
      fetch,
      setTimeout: (done: () => void, ms: number) => {
        waitsMs.push(ms);
        setImmediate(done);
      },
    }) as (url: string) => Promise<Response>;
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
    const response = await callApi(url);
    expect(response.status).toBe(200);
    expect(waitsMs).toEqual([2000, 1000]);
    refusals = 100;
    expect((await callApi(url)).status).toBe(429);
    expect(waitsMs).toHaveLength(6);
  } finally {
    server.close();
    server.closeAllConnections();
  }
});
