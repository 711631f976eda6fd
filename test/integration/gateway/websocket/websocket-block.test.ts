import { once } from 'node:events';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { WebSocket } from 'ws';
import { eventually, uniqueName } from '../../../support/servers.ts';
import { startUndisturbedTime } from '../../../support/undisturbed-time.ts';
import { as, serviceToken, startGateway } from '../gateway.ts';
import type { TestGateway } from '../gateway.ts';
import { openRaw } from '../http/raw-connection.ts';
import { startWebSocketUpstream } from './websocket-upstream.ts';
import type { WebSocketUpstream } from './websocket-upstream.ts';

const policy = {
  plans: '{ free: { limits: [{ name: minute, per: tenant, limit: 100, window: 1m }] } }',
  routes: '[{ match: GET /metered/**, websocket: { message_cost: 2 } }]',
  services: '[{ name: billing, token_env: TOLLGATE_SERVICE_TOKEN }]',
};
let upstream: WebSocketUpstream;
let gateway: TestGateway;
const clients: WebSocket[] = [];

beforeAll(async () => {
  upstream = await startWebSocketUpstream();
  gateway = await startGateway({ policy, upstream: upstream.url });
});

afterAll(async () => {
  await gateway.close();
  await upstream.close();
});

afterEach(async () => {
  for (const client of clients.splice(0)) client.terminate();
  await eventually(() => upstream.closes.length === upstream.sockets.length);
  for (const list of [upstream.sockets, upstream.messages, upstream.closes]) list.length = 0;
});

async function openWebSocket(path: string, headers: Record<string, string>): Promise<WebSocket> {
  const client = new WebSocket(gateway.proxyUrl.replace('http', 'ws') + path, { headers });
  clients.push(client);
  client.on('error', () => undefined);
  await once(client, 'open');
  return client;
}

function block(tenant: string): void {
  gateway.records.set(tenant, {
    tenant_id: tenant,
    block: { until: null, reason: 'unpaid', actor: 'ann' },
    updated_at: '2026-11-01T00:00:00Z',
    updated_by: 'ann',
  });
}

test.each([
  ['the client', '/echo'],
  ['the upstream', '/upload'],
  ['neither side', '/quiet'],
  ['the upstream on a route that charges messages', '/metered/x'],
])(
  'C3: a block ends an open WebSocket on both sides with 1008, while messages come from: %s',
  async (_, path) => {
    const tenant = uniqueName('acme');
    const webSocket = await openWebSocket(path, await as(tenant));
    const other = await openWebSocket('/echo', await as(uniqueName('acme')));
    const sending = setInterval(() => {
      if (path === '/echo') webSocket.send('more');
      else if (path !== '/quiet') upstream.sockets[0]?.send('more');
    }, 20);
    const sinceBlockMs = startUndisturbedTime();
    block(tenant);
    await eventually(() => webSocket.readyState === WebSocket.CLOSED).finally(() => clearInterval(sending));
    expect(sinceBlockMs()).toBeLessThan(2_000);
    await eventually(() => upstream.closes.length === 1);
    expect(upstream.closes[0]).toEqual([1_008, 'This tenant is blocked until further notice: unpaid']);
    other.send('unharmed');
    expect(String((await once(other, 'message'))[0])).toBe('unharmed');
  },
);

test('C3: the close frame states the reason of the block', async () => {
  const tenant = uniqueName('acme');
  const webSocket = await openWebSocket('/echo', await as(tenant));
  block(tenant);
  const [code, reason] = (await once(webSocket, 'close')) as [number, Buffer];
  expect([code, reason.toString()]).toEqual([1_008, 'This tenant is blocked until further notice: unpaid']);
});

test('C3: after a block no message of a client that ignores the close frame is forwarded', async () => {
  const tenant = uniqueName('acme');
  const connection = await openRaw(gateway.proxyUrl);
  const { authorization = '' } = await as(tenant);
  const fields = 'Host: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n';
  const key = 'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n';
  connection.write(`GET /echo HTTP/1.1\r\n${fields}${key}Authorization: ${authorization}\r\n\r\n`);
  await eventually(() => connection.text().startsWith('HTTP/1.1 101 '));
  // A masked text frame of one byte.
  const sending = setInterval(() => connection.write('\x81\x81\0\0\0\0x'), 20);
  try {
    await eventually(() => upstream.messages.length > 2);
    block(tenant);
    await eventually(() => upstream.closes.length === 1);
    expect(upstream.closes[0]?.[0]).toBe(1_008);
    await connection.closed;
  } finally {
    clearInterval(sending);
    connection.destroy();
  }
});

test('C3: a block does not end the WebSocket of a service that acts for the tenant', async () => {
  const tenant = uniqueName('acme');
  const ofTenant = await openWebSocket('/echo', await as(tenant));
  const ofService = await openWebSocket('/echo', { ...(await as(tenant)), 'x-service-token': serviceToken });
  block(tenant);
  await eventually(() => ofTenant.readyState === WebSocket.CLOSED);
  ofService.send('still here');
  expect(String((await once(ofService, 'message'))[0])).toBe('still here');
});
