import { afterAll, beforeAll, expect, test } from 'vitest';
import { eventually } from '../../../support/servers.ts';
import { startGateway, startUpstream } from '../gateway.ts';
import type { TestUpstream } from '../gateway.ts';
import { openRaw } from './raw-connection.ts';

let upstream: TestUpstream;

beforeAll(async () => {
  upstream = await startUpstream((_request, response) => response.end('done'));
});

afterAll(() => upstream.close());

test('F6: the connections of each address and of the listener are bounded, idle ones included', async () => {
  const bounded = await startGateway({
    policy: { identity: '{ jwt: { algorithms: [HS256], secret_env: TOLLGATE_JWT_SECRET } }' },
    upstream: upstream.url,
    bounds: { connectionsPerAddressMax: 3, connectionsMax: 6 },
  });
  const idle = await Promise.all([1, 2, 3].map(() => openRaw(bounded.proxyUrl)));
  const fourth = await openRaw(bounded.proxyUrl);
  const response = await fourth.response();
  expect(response.status).toBe(429);
  expect(response.headers.get('retry-after')).toBe('1');
  expect(response.headers.has('x-ratelimit-limit')).toBe(true);
  expect(bounded.requests()).toMatchObject([{ data: { status: 429, client_ip: '127.0.0.1' } }]);
  await fourth.closed;
  const others = await Promise.all([1, 2, 3].map(() => openRaw(bounded.proxyUrl, '127.0.0.2')));
  others[0]?.write('GET /x HTTP/1.1\r\nHost: h\r\n\r\n');
  expect((await others[0]?.response())?.status).toBe(200);
  const seventh = await openRaw(bounded.proxyUrl, '127.0.0.3');
  expect((await seventh.response()).status).toBe(503);
  idle[0]?.destroy();
  await eventually(async () => {
    const again = await openRaw(bounded.proxyUrl);
    again.write('GET /x HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n');
    return (await again.response()).status === 200;
  });
  for (const connection of [...idle, ...others]) connection.destroy();
  await bounded.close();
});
