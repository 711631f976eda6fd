import { pino } from 'pino';
import { Registry } from 'prom-client';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { createCallerRestorer } from '../../../services/reconciler/restore/caller-restorer.ts';
import type { CallerRestorer } from '../../../services/reconciler/restore/caller-restorer.ts';
import { createCallersAfterLoss } from '../../../services/reconciler/redis-loss/callers-after-loss.ts';
import type { CallersAfterLoss } from '../../../services/reconciler/redis-loss/callers-after-loss.ts';
import { followDegradedCallers } from '../../../services/reconciler/degraded/degraded-callers.ts';
import type { DegradedCallers } from '../../../services/reconciler/degraded/degraded-callers.ts';
import { createDrift } from '../../../services/reconciler/restore/drift.ts';
import type { ClickHouse } from '../../../shared/clickhouse/client.ts';
import { periodAt } from '../../../shared/domain/time/calendar.ts';
import { isQuota } from '../../../shared/domain/quota.ts';
import type { TenantRecord } from '../../../shared/domain/tenant.ts';
import { parsePolicy } from '../../../shared/policy/load.ts';
import { quotasFor } from '../../../shared/policy/quota-readings.ts';
import { connectRedis } from '../../../shared/redis/client.ts';
import type { RedisClient } from '../../../shared/redis/client.ts';
import { createLimiter } from '../../../shared/redis/decision/limiter.ts';
import type { Limiter } from '../../../shared/redis/decision/limiter.ts';
import type { Caller } from '../../../shared/redis/decision/subjects.ts';
import { systemClock } from '../../../shared/runtime/time/clock.ts';
import { eventually, startRedis } from '../../support/servers.ts';
import { storeUsage } from '../../support/stored-usage.ts';
import type { StoredEvent } from '../../support/stored-usage.ts';
import { freshDatabase } from './database.ts';

const logger = pino({ level: 'silent' });
const policy = parsePolicy(
  'test.yaml',
  `version: 1
links: { documentation: https://d.example, upgrade: https://u.example }
identity: { anonymous: ip }
default_plan: free
plans:
  free:
    limits:
      - { name: mine, per: user, limit: 1000, window: 1d, type: quota }
      - { name: month, per: [tenant, user], limit: 1000, window: 1mo, type: quota }
      - { name: place, per: [tenant, ip], limit: 1000, window: 1d, type: quota }
      - { name: device, per: [user, ip], limit: 1000, window: 1d, type: quota }
      - { name: address, per: ip, limit: 1000, window: 1d, type: quota }
      - { name: whole, per: tenant, limit: 1000, window: 1d, type: quota }
routes:
  - match: POST /agent/chat
    limits: [{ name: chats, per: user, limit: 1000, window: 1d, type: quota }]
`,
  {},
  { secrets: 'optional' },
);
/** Noon of today in UTC: all times of the test are on one UTC day, at whatever hour it runs. */
const nowMs = periodAt('day', null, Date.now()).startMs + 12 * 3_600_000;
const clock = { now: () => nowMs };
const records = new Map<string, TenantRecord>(
  [
    { tenant_id: 'tokyo', time_zone: 'Asia/Tokyo' },
    { tenant_id: 'reset', reset: { at_ms: nowMs - 60_500, actor: 'test', day_units: 0, month_units: 0 } },
  ].map((record) => [record.tenant_id, { ...record, updated_at: '', updated_by: '' }]),
);
const chat = { route: 'POST /agent/chat' };
const other = { route: '*' };
const tokyoDayMs = periodAt('day', 'Asia/Tokyo', nowMs).startMs;

const events: StoredEvent[] = [
  { tenant: 'acme', user: 'ada', ip: '192.0.2.1', units: 1, timeMs: nowMs - 5_000, ...chat },
  { tenant: 'acme', user: 'ada', ip: '192.0.2.2', units: 2, timeMs: nowMs - 5_000, ...other },
  { tenant: 'acme', user: 'bob', ip: '192.0.2.1', units: 4, timeMs: nowMs - 5_000, ...other, plan: 'gone' },
  { tenant: 'acme', user: 'ada', ip: '192.0.2.1', units: 8, timeMs: nowMs - 5_000, decision: 'limited' },
  { tenant: 'acme', user: 'ada', ip: '192.0.2.1', units: 16, timeMs: nowMs - 5_000, decision: 'bypassed' },
  { tenant: 'acme', user: 'ada', ip: '192.0.2.1', units: 32, timeMs: nowMs - 5_000, type: 'tokens.v1' },
  { tenant: 'acme', user: '', ip: '192.0.2.9', units: 64, timeMs: nowMs - 5_000, ...other },
  { tenant: 'other', user: 'ada', ip: '192.0.2.1', units: 128, timeMs: nowMs - 5_000, ...other },
  { tenant: 'tokyo', user: 'ada', ip: '192.0.2.1', units: 1, timeMs: tokyoDayMs, ...other },
  { tenant: 'tokyo', user: 'ada', ip: '192.0.2.1', units: 2, timeMs: tokyoDayMs - 1, ...other },
  { tenant: 'reset', user: 'ada', ip: '192.0.2.7', units: 3, timeMs: nowMs - 61_000, ...other },
  { tenant: 'reset', user: 'ada', ip: '192.0.2.7', units: 5, timeMs: nowMs - 60_000, ...other },
  { tenant: 'anonymous', user: '', ip: '2001:db8::1', units: 6, timeMs: nowMs - 5_000, ...other },
  { tenant: 'anonymous', user: '', ip: '2001:db8::ffff', units: 7, timeMs: nowMs - 5_000, ...other },
];

let redisServer: Awaited<ReturnType<typeof startRedis>>;
let redis: RedisClient;
let clickhouse: ClickHouse;
let limiter: Limiter;
let restoreCallers: CallerRestorer;
let restorer: CallersAfterLoss;

beforeAll(async () => {
  [redisServer, clickhouse] = await Promise.all([startRedis(), freshDatabase()]);
  redis = connectRedis(redisServer.url, logger);
  const registry = new Registry();
  limiter = createLimiter({
    ...{ redis, keyPrefix: 'tg', clock, redisTime: clock, registry, logger },
    callTimeoutMs: 10_000,
  });
  restoreCallers = createCallerRestorer({
    limiter,
    drift: createDrift(registry, systemClock),
    registry,
    logger,
  });
  await storeUsage(clickhouse, events);
});

afterAll(async () => {
  await limiter.close();
  redis.disconnect();
  await redisServer.dispose();
  await clickhouse.command(`DROP DATABASE ${clickhouse.options.database}`);
  await clickhouse.close();
});

beforeEach(async () => {
  await redis.call('FLUSHALL');
  restorer = createCallersAfterLoss({
    ...{ restoreCallers, clickhouse, clock: systemClock, logger },
    query: () => ({ clickhouse, policy, records, nowMs }),
    repeatMs: 50,
  });
});
// A restorer repeats its comparison in the background, which would raise the counters that the next test expects to be empty.
afterEach(() => restorer.close());

/** Used units of each quota, as a check of this caller reports them. */
async function usedBy(caller: Caller): Promise<Record<string, number>> {
  const record = records.get(caller.tenantId ?? '') ?? null;
  const limits = quotasFor(policy, { plan: 'free', record, nowMs }, isQuota);
  const zone = record?.time_zone === undefined ? {} : { calendar: record.time_zone };
  const result = await limiter.check({ ...caller, limits, cost: 1, peek: true, ...zone });
  if (result.degraded) throw new Error('Redis did not answer');
  return Object.fromEntries(result.states.map(({ name, limit, remaining }) => [name, limit - remaining]));
}

const ada: Caller = { tenantId: 'acme', userId: 'ada', ip: '192.0.2.1' };

describe('after FLUSHALL quotas of users and addresses hold what ClickHouse counts', () => {
  test.each<[string, Caller, Record<string, number>]>([
    [
      'a user, by route, place and device',
      ada,
      { mine: 3, month: 3, chats: 1, place: 5, device: 1, address: 133 },
    ],
    [
      'the same user at another address',
      { ...ada, ip: '192.0.2.2' },
      { mine: 3, place: 2, device: 2, address: 2 },
    ],
    ['a user who changed plans', { ...ada, userId: 'bob' }, { mine: 4, month: 4, chats: 0, device: 4 }],
    ['a user of the same name at another tenant', { ...ada, tenantId: 'other' }, { mine: 128, place: 128 }],
    [
      'a caller without a user',
      { ...ada, userId: null, ip: '192.0.2.9' },
      { mine: 64, place: 64, address: 64 },
    ],
    ['a day in the time zone of Tokyo', { ...ada, tenantId: 'tokyo' }, { mine: 1, place: 1, device: 1 }],
    [
      'units since a reset',
      { tenantId: 'reset', userId: 'ada', ip: '192.0.2.7' },
      { mine: 5, month: 5, device: 5 },
    ],
    ['an anonymous /64', { tenantId: null, userId: null, ip: '2001:db8::abcd' }, { mine: 13, whole: 13 }],
  ])('%s', async (_, caller, used) => {
    expect(await restorer.restore()).toBeGreaterThan(0);
    expect(await usedBy(caller)).toMatchObject(used);
  });

  test('quotas per tenant are not touched: announcements of totals restore them', async () => {
    await restorer.restore();
    expect((await usedBy(ada))['whole']).toBe(0);
  });

  test('a counter is never lowered, and a second restoration changes nothing', async () => {
    const limits = quotasFor(policy, { plan: 'free', record: null, nowMs }, isQuota);
    await limiter.check({ ...ada, limits, cost: 50, peek: false });
    await restorer.restore();
    await restorer.restore();
    expect(await usedBy(ada)).toMatchObject({ mine: 50, chats: 50, address: 133 });
  });

  test('a reset of the tenant after the loss empties the quotas of its users', async () => {
    await restorer.restore();
    await limiter.reset('acme');
    expect(await usedBy(ada)).toMatchObject({ mine: 0, device: 0 });
    await restorer.restore();
    expect(await usedBy(ada)).toMatchObject({ mine: 0, device: 0 });
  });
});

test('events in flight when the data was lost are counted without another call', async () => {
  await restorer.restore();
  const late: StoredEvent = {
    tenant: 'late',
    user: 'eve',
    ip: '192.0.2.50',
    units: 9,
    timeMs: nowMs,
    ...other,
  };
  await storeUsage(clickhouse, [late]);
  const eve = { tenantId: 'late', userId: 'eve', ip: '192.0.2.50' };
  await eventually(async () => (await usedBy(eve))['mine'] === 9);
});

test('a query that ClickHouse refuses is an error, and no counter changes', async () => {
  const failing = createCallersAfterLoss({
    ...{ restoreCallers, clickhouse, clock: systemClock, logger },
    query: () => ({
      clickhouse: { ...clickhouse, query: () => clickhouse.query('SELECT nothing') },
      policy,
      records,
      nowMs,
    }),
  });
  await expect(failing.restore()).rejects.toThrow();
  expect(await usedBy(ada)).toMatchObject({ mine: 0 });
  await failing.close();
});

describe('after decisions without Redis and without a loss', () => {
  let running: DegradedCallers | null = null;

  function follow(): DegradedCallers {
    running = followDegradedCallers({
      ...{ restoreCallers, clickhouse, clock, logger, ready: () => true, pauseMs: 10 },
      query: () => ({ clickhouse, policy, records, nowMs }),
    });
    return running;
  }

  afterEach(async () => {
    await running?.close();
    running = null;
  });

  const passed = { timeMs: nowMs - 3_000, ...other };
  const apart: readonly StoredEvent[] = [
    { tenant: 'away', user: 'sam', ip: '198.51.100.1', units: 40, ...passed },
    { tenant: 'away', user: 'sam', ip: '198.51.100.2', units: 7, ...passed, degraded: true },
    { tenant: 'away', user: 'kim', ip: '198.51.100.2', units: 5, ...passed },
    { tenant: 'away', user: 'lee', ip: '198.51.100.3', units: 9, ...passed },
    { tenant: 'elsewhere', user: 'max', ip: '198.51.100.2', units: 3, ...passed },
    { tenant: 'tokyo', user: 'rin', ip: '198.51.100.9', units: 6, ...passed, degraded: true },
    { tenant: 'anonymous', user: '', ip: '2001:db8:5::1', units: 2, ...passed, degraded: true },
    { tenant: 'anonymous', user: '', ip: '2001:db8:5::2', units: 4, ...passed },
  ];
  beforeAll(() => storeUsage(clickhouse, apart));

  const restored: readonly [string, Caller, Record<string, number>][] = [
    ['all units of a user', { tenantId: 'away', userId: 'sam', ip: '198.51.100.1' }, { mine: 47, month: 47 }],
    [
      'an address, with all its users and tenants',
      { tenantId: 'away', userId: 'kim', ip: '198.51.100.2' },
      { place: 12, address: 15 },
    ],
    [
      'a user in another time zone',
      { tenantId: 'tokyo', userId: 'rin', ip: '198.51.100.9' },
      { mine: 6, device: 6 },
    ],
    ['an anonymous /64', { tenantId: null, userId: null, ip: '2001:db8:5::9' }, { mine: 6, whole: 6 }],
  ];

  test('the quotas of exactly these callers are raised, each in full', async () => {
    const follower = follow();
    // The first comparison includes callers that a previous reconciler may not have compared.
    await eventually(async () => (await usedBy(restored[0]![1]))['mine'] === 47);
    await redis.call('FLUSHALL');
    for (const tenantId of ['away', 'tokyo', 'anonymous']) follower.add(tenantId, nowMs - 3_000);
    for (const [name, caller, used] of restored) {
      await eventually(async () => {
        expect(await usedBy(caller), name).toMatchObject(used);
        return true;
      });
    }
    expect(await usedBy({ tenantId: 'away', userId: 'lee', ip: '198.51.100.3' })).toMatchObject({ mine: 0 });
    expect(await usedBy(ada)).toMatchObject({ mine: 0 });
  });

  test('a reconciler that starts afterwards raises them too', async () => {
    follow();
    for (const [name, caller, used] of restored) {
      await eventually(async () => {
        expect(await usedBy(caller), name).toMatchObject(used);
        return true;
      });
    }
  });
});
