import { connect } from 'node:net';
import type { ServerResponse } from 'node:http';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { eventually, uniqueName } from '../../../support/servers.ts';
import { as, serviceToken, startGateway, startUpstream } from '../gateway.ts';
import type { TestGateway, TestUpstream } from '../gateway.ts';
import { openRaw } from './raw-connection.ts';
import type { RawConnection } from './raw-connection.ts';

/** A platform limit of 8 concurrent requests. One tenant or one address may hold at most 2 permits. */
const policy = {
  plans: '{ free: { limits: [{ name: minute, per: tenant, limit: 10000, window: 1m }] } }',
  platform: '{ limits: [{ name: platform, per: global, type: concurrent, limit: 8 }] }',
  services: '[{ name: billing, token_env: TOLLGATE_SERVICE_TOKEN }]',
};
const rates = { bytesPerSecondMin: 1_000, requestWindowMs: 500, responseWindowMs: 500 };
const bounds = { ...rates, requestTimeoutMs: 2_500, responseTimeoutMs: 2_500 };
const largeBytes = 64 * 1024 * 1024;

let upstream: TestUpstream;
let gateway: TestGateway;
/** A gateway without deadlines that a test can reach, for clients that it must not cut, however slow this machine is. */
let patient: TestGateway;
/** Open responses of the upstream to /held. The test ends them. */
let held: ServerResponse[] = [];
let timers: NodeJS.Timeout[] = [];

beforeAll(async () => {
  upstream = await startUpstream((request, response) => {
    switch (request.url) {
      case '/held':
        held.push(response);
        break;
      case '/large':
        response.end(Buffer.alloc(largeBytes));
        break;
      case '/drip':
        every(100, () => response.write('.'));
        break;
      case '/late-reader':
        setTimeout(() => request.resume().on('end', () => response.end('read')), 1_200);
        break;
      case '/events':
        response.writeHead(200, { 'content-type': 'text/event-stream' }).write('data: 1\n\n');
        held.push(response);
        break;
      default:
        request.resume().on('end', () => response.end('done'));
    }
  });
  gateway = await startGateway({ policy, upstream: upstream.url, bounds });
  patient = await startGateway({ policy, upstream: upstream.url, bounds: rates });
});

afterAll(async () => {
  await Promise.all([gateway.close(), patient.close()]);
  await upstream.close();
});

afterEach(async () => {
  for (const timer of timers) clearInterval(timer);
  for (const response of held) response.destroy();
  [timers, held] = [[], []];
  for (const each of [gateway, patient]) {
    await eventually(() => each.concurrency.inUse() === 0);
    each.events.length = 0;
  }
  upstream.seen.length = 0;
});

function every(ms: number, work: () => void): void {
  timers.push(setInterval(work, ms));
}

async function begin(
  path: string,
  fields: Record<string, string>,
  method = 'POST',
  at = gateway,
): Promise<RawConnection> {
  const connection = await openRaw(at.proxyUrl);
  const lines = Object.entries({ host: 'h', ...fields }).map(([name, value]) => `${name}: ${value}\r\n`);
  connection.write(`${method} ${path} HTTP/1.1\r\n${lines.join('')}\r\n`);
  return connection;
}

const from = (address: string): Record<string, string> => ({ 'x-forwarded-for': address });

describe('F6: slow clients cannot hold all permits', () => {
  test('slow uploads from one address do not affect the requests of other tenants', async () => {
    // Each upload holds its permit to the end of the test: the rate is measured only after a minute.
    const held = { ...rates, requestWindowMs: 60_000 };
    const calm = await startGateway({ policy, upstream: upstream.url, bounds: held });
    const uploads = await Promise.all(
      Array.from({ length: 16 }, async () => {
        const sender = { ...(await as(uniqueName('slow'))), ...from('203.0.113.1') };
        const upload = await begin('/upload', { ...sender, 'content-length': '1000' }, 'POST', calm);
        every(50, () => upload.write('a'));
        return upload;
      }),
    );
    await eventually(() => calm.requests().length === 14);
    const victim = await as(uniqueName('enterprise'));
    for (let i = 0; i < 40; i += 1) {
      const response = await fetch(`${calm.proxyUrl}/x`, {
        headers: { ...victim, ...from('203.0.113.2') },
      });
      expect(response.status).toBe(200);
      await response.text();
    }
    const refused = calm.requests().filter(({ data }) => data.status === 429);
    expect(refused).toHaveLength(14);
    expect(refused.every(({ data }) => data.limited_by.join() === 'platform-address')).toBe(true);
    for (const upload of uploads) upload.destroy();
    await calm.close();
  });

  test('a tenant holds at most its share of the platform, from any number of addresses; services are exempt', async () => {
    const tenant = uniqueName('acme');
    const headers = await as(tenant);
    const open = await Promise.all(
      [1, 2].map((n) => begin('/held', { ...headers, ...from(`203.0.113.${n}`) }, 'GET', patient)),
    );
    await eventually(() => held.length === 2);
    const third = await fetch(`${patient.proxyUrl}/x`, { headers: { ...headers, ...from('203.0.113.3') } });
    expect(third.status).toBe(429);
    expect(third.headers.get('retry-after')).toBe('1');
    expect(third.headers.get('x-ratelimit-limit')).toBe('2');
    expect(await third.json()).toMatchObject({
      type: 'https://iana.org/assignments/http-problem-types#temporary-reduced-capacity',
      'violated-policies': ['platform-tenant'],
      detail: '2 requests at once allowed for this tenant; try again in 1 s',
    });
    const exempt = { ...headers, 'x-service-token': serviceToken };
    expect((await fetch(`${patient.proxyUrl}/x`, { headers: exempt })).status).toBe(200);
    const neighbour = { ...(await as(uniqueName('other'))), ...from('203.0.113.4') };
    expect((await fetch(`${patient.proxyUrl}/x`, { headers: neighbour })).status).toBe(200);
    for (const connection of open) connection.destroy();
    await eventually(async () => (await fetch(`${patient.proxyUrl}/x`, { headers })).status === 200);
  });
});

describe('F6: a request body', () => {
  test.each([
    ['announced', { 'content-length': '100000' }, 'a'],
    ['chunked', { 'transfer-encoding': 'chunked' }, '1\r\na\r\n'],
  ])('that arrives slower than the minimum gets a 408 (%s)', async (_what, fields, piece) => {
    const tenant = uniqueName('slow');
    const upload = await begin('/upload', { ...(await as(tenant)), ...fields });
    every(50, () => upload.write(piece));
    const response = await upload.response();
    expect(response.status).toBe(408);
    expect(response.headers.get('x-ratelimit-remaining')).toBe('9999');
    expect(response.headers.get('connection')).toBe('close');
    expect(JSON.parse(response.body)).toMatchObject({ status: 408, detail: 'The body arrives too slowly.' });
    expect(gateway.requests()).toMatchObject([
      { subject: tenant, data: { status: 408, decision: 'allowed' } },
    ]);
    await eventually(() => gateway.concurrency.inUse() === 0);
    await eventually(() => upstream.seen[0]?.destroyed);
    await upload.closed;
  });

  test('that is not complete at the deadline gets a 408 at any rate', async () => {
    const upload = await begin('/upload', {
      ...(await as(uniqueName('long'))),
      'transfer-encoding': 'chunked',
    });
    const piece = `800\r\n${'a'.repeat(2_048)}\r\n`;
    every(50, () => upload.write(piece));
    const response = await upload.response();
    expect([response.status, JSON.parse(response.body)]).toMatchObject([
      408,
      { detail: 'The body did not arrive in time.' },
    ]);
  });

  test('that stays above the minimum rate is served', async () => {
    // Thirty times the minimum rate, so that it stays above it on a slow machine too.
    const fields = { ...(await as(uniqueName('steady'))), 'content-length': '60000' };
    const upload = await begin('/upload', fields, 'POST', patient);
    every(100, () => upload.write('a'.repeat(3_000)));
    expect((await upload.response()).status).toBe(200);
    upload.destroy();
  });

  test('that the upstream reads late does not count against the client', async () => {
    const response = await fetch(`${patient.proxyUrl}/late-reader`, {
      method: 'POST',
      headers: await as(uniqueName('fast')),
      body: Buffer.alloc(900_000),
    });
    expect([response.status, await response.text()]).toEqual([200, 'read']);
  });

  test('of an API call that arrives too slowly gets a 408', async () => {
    const connection = await openRaw(gateway.apiUrl);
    connection.write(
      `POST /v1/check HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\nContent-Length: 1000\r\nX-Service-Token: ${serviceToken}\r\n\r\n{`,
    );
    const response = await connection.response();
    expect(response.status).toBe(408);
    expect(response.headers.has('x-ratelimit-limit')).toBe(true);
    expect(gateway.requests()).toMatchObject([{ data: { status: 408, entrypoint: 'api' } }]);
    await connection.closed;
  });

  test('of a refused request is read for a bounded time', async () => {
    const upload = await begin('/upload', {
      authorization: 'Bearer nonsense',
      'transfer-encoding': 'chunked',
    });
    every(20, () => upload.write(`800\r\n${'a'.repeat(2_048)}\r\n`));
    expect((await upload.response()).status).toBe(401);
    await upload.closed;
  });
});

describe('F6: a response', () => {
  test('that the client does not read is cut, and its permit is released', async () => {
    const reader = await begin('/large', await as(uniqueName('unread')), 'GET');
    reader.pause();
    await eventually(() => gateway.concurrency.inUse() === 1);
    await eventually(() => gateway.concurrency.inUse() === 0);
    expect(gateway.requests()).toMatchObject([{ data: { status: 200 } }]);
    reader.resume();
    await reader.closed;
    expect(reader.text().length).toBeLessThan(largeBytes);
  });

  test('that the client reads slowly, but above the minimum rate, is not cut', async () => {
    const { hostname, port } = new URL(patient.proxyUrl);
    const socket = connect({ port: Number(port), host: hostname });
    const { authorization } = await as(uniqueName('slow'));
    socket.write(`GET /large HTTP/1.1\r\nHost: h\r\nAuthorization: ${authorization}\r\n\r\n`);
    socket.pause();
    let bytes = 0;
    every(50, () => (bytes += (socket.read(300_000) as Buffer | null)?.length ?? 0));
    const startedAt = performance.now();
    await eventually(() => performance.now() - startedAt > 1_500);
    expect(patient.concurrency.inUse()).toBe(1);
    expect(bytes).toBeGreaterThan(300_000);
    socket.destroy();
  });

  test('that never ends is cut at the deadline', async () => {
    const startedAt = performance.now();
    const reader = await begin('/drip', await as(uniqueName('long')), 'GET');
    await reader.closed;
    expect(performance.now() - startedAt).toBeGreaterThan(bounds.responseTimeoutMs);
    await eventually(() => upstream.seen[0]?.destroyed);
  });

  test('that is an event stream stays open while it is idle', async () => {
    const reader = await begin('/events', await as(uniqueName('stream')), 'GET');
    await eventually(() => reader.text().includes('data: 1'));
    const startedAt = performance.now();
    await eventually(() => performance.now() - startedAt > bounds.responseTimeoutMs + 1_000);
    held[0]?.write('data: 2\n\n');
    await eventually(() => reader.text().includes('data: 2'));
    reader.destroy();
  });
});

describe('F6: connections', () => {
  test('without a complete header section in time get a 408 with limit headers and an event', async () => {
    const hasty = await startGateway({ policy, upstream: upstream.url, bounds: { headersTimeoutMs: 400 } });
    const connection = await openRaw(hasty.proxyUrl);
    connection.write('GET /x HTTP/1.1\r\nHost: h\r\n');
    const response = await connection.response();
    expect(response.status).toBe(408);
    expect(response.headers.has('x-ratelimit-limit')).toBe(true);
    expect(hasty.requests()).toMatchObject([{ data: { status: 408, entrypoint: 'proxy' } }]);
    await connection.closed;
    await hasty.close();
  });
});

test('a client that is still sending can read its response late', async () => {
  // The client sends nothing until its request is refused, however long that takes.
  const calm = await startGateway({ policy, upstream: upstream.url });
  const { hostname, port } = new URL(calm.proxyUrl);
  const socket = connect({ port: Number(port), host: hostname });
  socket.on('error', () => undefined);
  const closed = new Promise((resolve) => socket.once('close', resolve));
  const fields = 'Host: h\r\nAuthorization: Bearer nonsense\r\nContent-Length: 900000\r\n';
  socket.write(`POST /x HTTP/1.1\r\n${fields}\r\n`);
  socket.pause();
  await eventually(() => calm.requests().length === 1);
  let written = 0;
  every(5, () => socket.write('a'.repeat(10_000), () => (written += 10_000)));
  await eventually(() => written > 600_000);
  let text = '';
  socket.on('data', (chunk: Buffer) => (text += chunk.toString())).resume();
  await closed;
  expect(text).toMatch(/^HTTP\/1\.1 401 [^]*"status":401/);
  await calm.close();
});
