import { once } from 'node:events';
import type { IncomingMessage } from 'node:http';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { WebSocket } from 'ws';
import { eventually, uniqueName } from '../../../support/servers.ts';
import { as, serviceToken, startGateway } from '../gateway.ts';
import type { TestGateway } from '../gateway.ts';
import { openRaw } from '../http/raw-connection.ts';
import { startWebSocketUpstream } from './websocket-upstream.ts';
import type { WebSocketUpstream } from './websocket-upstream.ts';

const policy = {
  plans: '{ free: { limits: [{ name: minute, per: tenant, limit: 6, window: 1m }] } }',
  routes: '[{ match: GET /metered/**, websocket: { message_cost: 2 }, price: 0.5 }]',
  platform:
    '{ limits: [{ name: platform, per: global, type: concurrent, limit: 2 }], shares: { tenant: 1, address: 1 } }',
  services: '[{ name: billing, token_env: TOLLGATE_SERVICE_TOKEN }]',
};
let upstream: WebSocketUpstream;
let gateway: TestGateway;
const clients: WebSocket[] = [];

const start = (changes = {}): Promise<TestGateway> =>
  startGateway({ policy, upstream: upstream.url, ...changes });

beforeAll(async () => {
  upstream = await startWebSocketUpstream();
  gateway = await start({ bounds: { requestWindowMs: 200, responseWindowMs: 200, responseTimeoutMs: 300 } });
});

afterAll(async () => {
  await gateway.close();
  await upstream.close();
});

afterEach(async () => {
  for (const client of clients.splice(0)) client.terminate();
  await eventually(() => gateway.concurrency.inUse() === 0);
  gateway.events.length = 0;
  for (const list of [upstream.sockets, upstream.handshakes, upstream.messages, upstream.closes])
    list.length = 0;
});

function connect(path: string, headers: Record<string, string>, at: TestGateway = gateway): WebSocket {
  const client = new WebSocket(at.proxyUrl.replace('http', 'ws') + path, { headers });
  client.on('error', () => undefined);
  clients.push(client);
  return client;
}

async function opened(webSocket: WebSocket): Promise<WebSocket> {
  await once(webSocket, 'open');
  return webSocket;
}

async function closeOf(webSocket: WebSocket): Promise<[number, string]> {
  const [code, reason] = (await once(webSocket, 'close')) as [number, Buffer];
  return [code, reason.toString()];
}

interface Declined {
  readonly response: IncomingMessage;
  readonly body: string;
}

/** The response to a handshake that was declined. */
async function declined(webSocket: WebSocket): Promise<Declined> {
  webSocket.on('error', () => undefined);
  const [, response] = (await once(webSocket, 'unexpected-response')) as [unknown, IncomingMessage];
  let body = '';
  for await (const chunk of response) body += String(chunk);
  return { response, body };
}

describe('F4: a WebSocket through the gateway', () => {
  test('counts as one request with limit headers and identity, and holds its permit until it ends', async () => {
    const tenant = uniqueName('acme');
    const webSocket = connect('/echo?a=1', await as(tenant));
    const upgraded = once(webSocket, 'upgrade') as Promise<[IncomingMessage]>;
    await opened(webSocket);
    const [response] = await upgraded;
    expect(response.headers).toMatchObject({ 'x-ratelimit-limit': '6', 'x-ratelimit-remaining': '5' });
    expect(gateway.requests()).toMatchObject([
      {
        subject: tenant,
        data: { status: 101, decision: 'allowed', units: 1, path: '/echo', entrypoint: 'proxy' },
      },
    ]);
    expect(upstream.handshakes[0]).toMatchObject({
      'x-tollgate-tenant': tenant,
      'x-forwarded-for': '127.0.0.1',
      'x-tollgate-decision': response.headers['x-tollgate-decision'],
    });
    const startedAt = performance.now();
    await eventually(() => performance.now() - startedAt > 500);
    expect(gateway.concurrency.inUse()).toBe(1);
    webSocket.close(4_001, 'bye');
    await eventually(() => gateway.concurrency.inUse() === 0);
    await eventually(() => upstream.closes.length === 1);
    expect(upstream.closes).toEqual([[4_001, 'bye']]);
    expect(gateway.requests()).toHaveLength(1);
  });

  test.each([
    ['text', 'hello', false],
    ['binary', Buffer.from([0, 1, 2, 255]), true],
    ['a megabyte', Buffer.alloc(1_000_000, 'a'), true],
  ])(
    'carries %s in both directions, and unsolicited messages of the upstream',
    async (_what, data, isBinary) => {
      const webSocket = await opened(connect('/echo', await as(uniqueName('acme'))));
      webSocket.send(data);
      const [echo, binary] = (await once(webSocket, 'message')) as [Buffer, boolean];
      expect(echo.equals(Buffer.from(data))).toBe(true);
      expect(binary).toBe(isBinary);
      webSocket.close();
      await closeOf(webSocket);
      const pushed: string[] = [];
      const listener = connect('/push', await as(uniqueName('acme')));
      listener.on('message', (text: Buffer) => pushed.push(text.toString()));
      await eventually(() => pushed.join() === '1,2,3');
      listener.terminate();
    },
  );

  test.each([
    ['a 401 without a valid token', 401, () => Promise.resolve({ authorization: 'Bearer nonsense' })],
    ['a 429 beyond a limit', 429, spentTenant],
  ] as const)('is refused with an ordinary response: %s', async (_what, status, fields) => {
    const { response, body } = await declined(connect('/echo', await fields()));
    expect(response.statusCode).toBe(status);
    expect(response.headers['x-ratelimit-limit']).toBe('6');
    expect(JSON.parse(body)).toMatchObject({ status });
    expect(gateway.requests().at(-1)?.data.status).toBe(status);
    expect(upstream.handshakes.filter(({ upgrade }) => upgrade !== undefined)).toEqual([]);
  });

  test('does not exist in HTTP/1.0: the request is served as an ordinary one', async () => {
    const connection = await openRaw(gateway.proxyUrl);
    const { authorization = '' } = await as(uniqueName('acme'));
    const fields = 'Host: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n';
    const key = 'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n';
    connection.write(`GET /echo HTTP/1.0\r\n${fields}${key}Authorization: ${authorization}\r\n\r\n`);
    await connection.closed;
    expect(connection.responses()).toMatchObject([{ status: 200, body: 'plain' }]);
  });

  test('is refused without a free permit of the platform, and allowed when a permit is released', async () => {
    const sockets = await Promise.all(
      [1, 2].map(async () => opened(connect('/echo', await as(uniqueName('acme'))))),
    );
    const { response } = await declined(connect('/echo', await as(uniqueName('acme'))));
    expect([response.statusCode, response.headers['retry-after']]).toEqual([429, '1']);
    sockets[0]?.terminate();
    await eventually(() => gateway.concurrency.inUse() === 1);
    const next = await opened(connect('/echo', await as(uniqueName('acme'))));
    for (const socket of [...sockets, next]) socket.terminate();
  });

  test.each([
    ['declines', '/declined', 404],
    ['does not respond', '/never', 504],
  ])('gets a response with limit headers if the upstream %s', async (_what, path, status) => {
    const alone = await start(status === 504 ? { upstreamTimeoutMs: 300 } : {});
    const { response, body } = await declined(connect(path, await as(uniqueName('acme')), alone));
    expect([response.statusCode, response.headers['x-ratelimit-remaining']]).toEqual([status, '5']);
    if (status === 404) expect([body, response.headers['x-own']]).toEqual(['none', 'yes']);
    expect(alone.requests()).toMatchObject([{ data: { status } }]);
    await alone.close();
  });

  test('F7: reaches the upstream with the credential of the upstream instead of its own', async () => {
    const upstreamCredential = { name: 'x-api-key', value: 'sk-of-the-operator' };
    const alone = await start({ upstreamCredential });
    await opened(connect('/echo', await as(uniqueName('acme')), alone));
    expect(upstream.handshakes[0]).toMatchObject({ 'x-api-key': 'sk-of-the-operator' });
    expect(upstream.handshakes[0]?.['authorization']).toBeUndefined();
    for (const client of clients.splice(0)) client.terminate();
    await eventually(() => alone.concurrency.inUse() === 0);
    await alone.close();
  });

  test('gets a 502 if the upstream is down', async () => {
    const alone = await start({ upstream: 'http://127.0.0.1:1' });
    const { response } = await declined(connect('/echo', await as(uniqueName('acme')), alone));
    expect(response.statusCode).toBe(502);
    await eventually(() => alone.concurrency.inUse() === 0);
    await alone.close();
  });
});

describe('F4: a WebSocket ends', () => {
  test('with the code of the upstream', async () => {
    const webSocket = await opened(connect('/echo', await as(uniqueName('acme'))));
    upstream.sockets[0]?.close(4_002, 'enough');
    expect(await closeOf(webSocket)).toEqual([4_002, 'enough']);
  });

  test('when the upstream resets, and when the client does', async () => {
    const first = await opened(connect('/echo', await as(uniqueName('acme'))));
    upstream.sockets[0]?.terminate();
    expect((await closeOf(first))[0]).toBe(1_006);
    const second = await opened(connect('/echo', await as(uniqueName('acme'))));
    second.terminate();
    await eventually(() => upstream.closes.length === 2);
  });

  test('when it is idle, with a close frame that states it', async () => {
    const brief = await start({ bounds: { websocketIdleTimeoutMs: 2_000 } });
    const webSocket = await opened(connect('/echo', await as(uniqueName('acme')), brief));
    webSocket.send('still here');
    await once(webSocket, 'message');
    expect(await closeOf(webSocket)).toEqual([1_001, 'The connection was idle.']);
    await eventually(() => brief.concurrency.inUse() === 0);
    await brief.close();
  });

  test('when one side is half-closed and the other sends nothing', async () => {
    const connection = await openRaw(gateway.proxyUrl);
    const { authorization } = await as(uniqueName('acme'));
    const fields = 'Host: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n';
    const key = 'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n';
    connection.write(`GET /echo HTTP/1.1\r\n${fields}${key}Authorization: ${authorization}\r\n\r\n`);
    await eventually(() => connection.text().startsWith('HTTP/1.1 101 '));
    upstream.sockets[0]?.pause();
    connection.end();
    await eventually(() => gateway.concurrency.inUse() === 0);
  });

  test('when the gateway stops, which does not wait for the client', async () => {
    const stopping = await start();
    const webSocket = await opened(connect('/push', await as(uniqueName('acme')), stopping));
    const closed = closeOf(webSocket);
    await stopping.close();
    expect(await closed).toEqual([1_001, 'The gateway is shutting down.']);
  });
});

describe('F4: messages of a route that charges them', () => {
  test('are charged like requests, and the first one beyond a limit ends the connection with the reason', async () => {
    const tenant = uniqueName('acme');
    const webSocket = await opened(connect('/metered/x', await as(tenant)));
    for (const text of ['1', '2', '3', '4']) webSocket.send(text);
    const [code, reason] = await closeOf(webSocket);
    expect(code).toBe(1_008);
    expect(reason).toMatch(/^6 units per 1 minute allowed for this tenant/);
    await eventually(() => upstream.closes.length === 1);
    expect(upstream.messages).toEqual(['1', '2']);
    expect(upstream.closes[0]?.[0]).toBe(1_008);
    const events = gateway
      .requests()
      .map(({ data }) => [data.entrypoint, data.status, data.units, data.cost]);
    expect(events).toEqual([
      ['proxy', 101, 1, 0.5],
      ['websocket', 200, 2, 1],
      ['websocket', 200, 2, 1],
      ['websocket', 429, 2, 1],
    ]);
    expect(gateway.requests().every(({ subject }) => subject === tenant)).toBe(true);
  });

  test('are free for services', async () => {
    const headers = { ...(await as(uniqueName('acme'))), 'x-service-token': serviceToken };
    const webSocket = await opened(connect('/metered/x', headers));
    for (let i = 0; i < 10; i += 1) webSocket.send(String(i));
    await eventually(() => upstream.messages.length === 10);
    webSocket.close();
    await closeOf(webSocket);
  });

  test('are counted by message, regardless of their frames', async () => {
    const webSocket = await opened(connect('/metered/x', await as(uniqueName('acme'))));
    webSocket.send('a'.repeat(70_000), { fin: false });
    webSocket.ping();
    webSocket.send('b'.repeat(200), { fin: true });
    await eventually(() => upstream.messages.length === 1);
    expect(upstream.messages[0]).toHaveLength(70_200);
    webSocket.terminate();
    await eventually(() => gateway.concurrency.inUse() === 0);
    expect(gateway.requests().map(({ data }) => data.units)).toEqual([1, 2]);
  });
});

/** Credentials of a tenant that has used up its limit. */
async function spentTenant(): Promise<Record<string, string>> {
  const headers = await as(uniqueName('acme'));
  for (let i = 0; i < 6; i += 1) await (await fetch(`${gateway.proxyUrl}/x`, { headers })).text();
  return headers;
}
