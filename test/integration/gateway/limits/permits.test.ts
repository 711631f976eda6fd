import type { ServerResponse } from 'node:http';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { eventually, uniqueName } from '../../../support/servers.ts';
import { as, startGateway, startUpstream } from '../gateway.ts';
import type { TestGateway, TestUpstream } from '../gateway.ts';
import { openRaw } from '../http/raw-connection.ts';
import type { RawConnection } from '../http/raw-connection.ts';

const policy = {
  plans: `
  free: { limits: [{ name: minute, per: tenant, limit: 10000, window: 1m }] }
  single: { limits: [{ name: one-at-once, per: tenant, type: concurrent, limit: 1 }] }
  none: { limits: [{ name: nothing, per: tenant, limit: 0, window: 1m }] }
  slow: { limits: [{ name: minute, per: tenant, limit: 1, window: 1m }], slow_down: { from: 0, max_delay: 10s } }`,
  platform:
    '{ limits: [{ name: platform, per: global, type: concurrent, limit: 4 }], shares: { tenant: 1, address: 1 } }',
};
let upstream: TestUpstream;
/** The latest response of the upstream to /begun, which stays open. */
let begun: ServerResponse | null = null;
let gateway: TestGateway;
/** A gateway whose deadlines a request exceeds soon. A request that is to be served in time goes to the other one. */
let hasty: TestGateway;

beforeAll(async () => {
  upstream = await startUpstream((request, response) => {
    switch (request.url) {
      case '/never':
        break;
      case '/begun':
        begun = response;
        response.write('begun');
        break;
      case '/reset':
        request.socket.destroy();
        break;
      case '/cut':
        response.write('begun', () => request.socket.destroy());
        break;
      case '/304':
        response.writeHead(304).end();
        break;
      case '/early':
        response.end('early');
        break;
      default:
        request.resume().on('end', () => response.end('done'));
    }
  });
  const common = { policy, upstream: upstream.url, bodyBytesMax: 1_000 };
  gateway = await startGateway(common);
  const bounds = { bytesPerSecondMin: 1_000, requestWindowMs: 200, responseTimeoutMs: 1_500 };
  hasty = await startGateway({ ...common, upstreamTimeoutMs: 400, bounds });
});

afterAll(async () => {
  await Promise.all([gateway.close(), hasty.close()]);
  await upstream.close();
});

afterEach(() => {
  for (const each of [gateway, hasty]) each.events.length = 0;
  upstream.seen.length = 0;
});

interface Sent {
  readonly connection: RawConnection;
  /** Resolves when this many requests have reached the upstream. */
  reached(count?: number): Promise<unknown>;
}

interface Way {
  readonly what: string;
  readonly path?: string;
  readonly method?: string;
  readonly plan?: string;
  readonly fields?: string;
  readonly body?: string;
  /** True if a deadline of the gateway ends the request. */
  readonly late?: boolean;
  /** Number of requests that are sent at the same time. */
  readonly times?: number;
  readonly end?: (sent: Sent) => unknown;
  readonly statuses: readonly number[];
}

const chunked = 'Transfer-Encoding: chunked\r\n';
const leave = ({ connection }: Sent): void => connection.destroy();
const leaveOnceReached = async (sent: Sent): Promise<void> => {
  await sent.reached();
  sent.connection.destroy();
};

const ways: readonly Way[] = [
  { what: 'it is served', statuses: [200] },
  { what: 'it is served without a body (HEAD)', method: 'HEAD', statuses: [200] },
  { what: 'it is not modified', path: '/304', statuses: [304] },
  { what: 'it is refused', plan: 'none', statuses: [429] },
  { what: 'two that are pipelined are served', times: 2, statuses: [200, 200] },
  { what: 'the client leaves while it is decided about', path: '/never', end: leave, statuses: [499] },
  { what: 'the client leaves before the answer', path: '/never', end: leaveOnceReached, statuses: [499] },
  {
    what: 'the client leaves during the answer',
    path: '/begun',
    end: async ({ connection }) => {
      await eventually(() => connection.text().includes('begun'));
      connection.destroy();
    },
    statuses: [200],
  },
  {
    what: 'the client leaves while it sends the body',
    method: 'POST',
    fields: 'Content-Length: 100\r\n',
    body: 'half',
    end: leaveOnceReached,
    statuses: [499],
  },
  {
    what: 'the client leaves with another request behind it',
    path: '/never',
    times: 2,
    end: async (sent) => {
      await sent.reached(2);
      sent.connection.destroy();
    },
    statuses: [499, 499],
  },
  { what: 'the upstream resets before the answer', path: '/reset', statuses: [502] },
  { what: 'the upstream resets during the answer', path: '/cut', statuses: [200] },
  { what: 'the upstream does not answer', path: '/never', late: true, statuses: [504] },
  { what: 'the upstream does not finish', path: '/begun', late: true, statuses: [200] },
  {
    what: 'the upstream answers before it has the body',
    path: '/early',
    method: 'POST',
    fields: chunked,
    body: '5\r\nhello\r\n',
    end: async ({ connection }) => {
      await connection.response();
      connection.destroy();
    },
    statuses: [200],
  },
  {
    what: 'the body says it is too long',
    method: 'POST',
    fields: 'Content-Length: 1001\r\n',
    statuses: [413],
  },
  {
    what: 'the body is too long',
    method: 'POST',
    fields: chunked,
    body: `3e9\r\n${'a'.repeat(1_001)}\r\n`,
    statuses: [413],
  },
  {
    ...{ what: 'the body comes too slowly', method: 'POST', fields: chunked, body: '1\r\na\r\n' },
    ...{ late: true, statuses: [408] },
  },
  { what: 'the body is malformed', method: 'POST', fields: chunked, body: 'zz\r\n', statuses: [400] },
];

test.each(ways)(
  'A7: the permit is released when $what, and there is one event for each request',
  async (way) => {
    const at = way.late === true ? hasty : gateway;
    for (let round = 0; round < 3; round += 1) await send(way, at);
    await eventually(() => at.requests().length >= 3 * way.statuses.length);
    expect(at.requests().map(({ data }) => data.status)).toEqual([
      ...way.statuses,
      ...way.statuses,
      ...way.statuses,
    ]);
    await eventually(() => at.concurrency.inUse() === 0);
  },
);

test('A7: the permit is released when the client leaves during its delay', async () => {
  const headers = await as(uniqueName('slow'), { plan: 'slow' });
  const connection = await openRaw(gateway.proxyUrl);
  connection.write(`GET /x HTTP/1.1\r\nHost: h\r\nAuthorization: ${headers['authorization']}\r\n\r\n`);
  await eventually(() => gateway.concurrency.inUse() === 1);
  connection.destroy();
  await eventually(() => gateway.concurrency.inUse() === 0);
  expect(gateway.requests().map(({ data }) => data.status)).toEqual([499]);
});

test('A7: the permit is held until the last byte of the response has left', async () => {
  const connection = await openRaw(gateway.proxyUrl);
  const { authorization } = await as(uniqueName('acme'));
  begun = null;
  connection.write(`GET /begun HTTP/1.1\r\nHost: h\r\nAuthorization: ${authorization}\r\n\r\n`);
  await eventually(() => connection.text().includes('begun'));
  expect(gateway.concurrency.inUse()).toBe(1);
  (begun as ServerResponse | null)?.end();
  await eventually(() => gateway.concurrency.inUse() === 0);
  connection.destroy();
});

test('C8: the event of a request that a concurrent limit refused names that limit, so that it can be alerted on', async () => {
  const { authorization } = await as(uniqueName('acme'), { plan: 'single' });
  const head = `GET /never HTTP/1.1\r\nHost: h\r\nAuthorization: ${authorization}\r\n\r\n`;
  const [first, second] = [await openRaw(gateway.proxyUrl), await openRaw(gateway.proxyUrl)];
  first.write(head);
  await eventually(() => upstream.seen.length === 1);
  second.write(head);
  expect((await second.response()).status).toBe(429);
  for (const connection of [first, second]) connection.destroy();
  const events = await eventually(() => (gateway.requests().length === 2 ? gateway.requests() : null));
  const refused = events.find((event) => event.data.status === 429);
  expect(refused?.data).toMatchObject({ decision: 'limited', limited_by: ['one-at-once'] });
});

async function send(
  { path = '/x', method = 'GET', plan = 'free', ...way }: Way,
  at: TestGateway,
): Promise<void> {
  const { authorization } = await as(uniqueName('acme'), { plan });
  const before = upstream.seen.length;
  const connection = await openRaw(at.proxyUrl);
  const head = `${method} ${path} HTTP/1.1\r\nHost: h\r\nAuthorization: ${authorization}\r\n${way.fields ?? ''}\r\n`;
  connection.write((head + (way.body ?? '')).repeat(way.times ?? 1));
  const reached = (count = 1): Promise<unknown> => eventually(() => upstream.seen.length >= before + count);
  const count = at.requests().length + way.statuses.length;
  await way.end?.({ connection, reached });
  await eventually(() => at.requests().length >= count);
  connection.destroy();
}
