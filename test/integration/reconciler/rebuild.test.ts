import { pino } from 'pino';
import { Registry } from 'prom-client';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createDrift } from '../../../services/reconciler/restore/drift.ts';
import { createQuotaRestorer } from '../../../services/reconciler/restore/quota-restorer.ts';
import { readTenantQuotas } from '../../../services/reconciler/restore/tenant-readings.ts';
import { startLossMonitor } from '../../../services/reconciler/redis-loss/loss-monitor.ts';
import type { LossMonitor } from '../../../services/reconciler/redis-loss/loss-monitor.ts';
import type { ClickHouse } from '../../../shared/clickhouse/client.ts';
import { createGenerations } from '../../../shared/clickhouse/queries/counter-generations.ts';
import { periodAt } from '../../../shared/domain/time/calendar.ts';
import type { LimitState } from '../../../shared/domain/limit.ts';
import type { TenantRecord } from '../../../shared/domain/tenant.ts';
import { parsePolicy } from '../../../shared/policy/load.ts';
import { quotasFor } from '../../../shared/policy/quota-readings.ts';
import { connectRedis } from '../../../shared/redis/client.ts';
import type { RedisClient } from '../../../shared/redis/client.ts';
import type { Limiter } from '../../../shared/redis/decision/limiter.ts';
import { createLossWatch } from '../../../shared/redis/loss-watch.ts';
import { systemClock } from '../../../shared/runtime/time/clock.ts';
import { eventually, startRedis } from '../../support/servers.ts';
import { storeUsage } from '../../support/stored-usage.ts';
import { startUndisturbedTime } from '../../support/undisturbed-time.ts';
import { limiterOn } from '../redis/limiters.ts';
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
      - { name: hour, per: tenant, limit: 50, window: 1h, type: quota }
      - { name: day, per: tenant, limit: 100, window: 1d, type: quota }
      - { name: spare, per: tenant, limit: 100, window: 1d, type: quota, carry_over: { limit: 60 } }
      - { name: week, per: tenant, limit: 1000, window: 1w, type: quota }
      - { name: month, per: tenant, limit: 2000, window: 1mo, type: quota }
routes:
  - match: POST /agent/chat
    limits: [{ name: chat, per: tenant, limit: 60, window: 1d, type: quota }]
`,
  {},
  { secrets: 'optional' },
);

const nowMs = Date.now();
const records = new Map<string, TenantRecord>(
  [
    { tenant_id: 'tokyo', time_zone: 'Asia/Tokyo' },
    { tenant_id: 'reset', reset: { at_ms: nowMs - 1500, actor: 'test', day_units: 0, month_units: 0 } },
  ].map((record) => [record.tenant_id, { ...record, updated_at: '', updated_by: '' }]),
);

let redisServer: Awaited<ReturnType<typeof startRedis>>;
let redis: RedisClient;
let reader: Limiter;
let clickhouse: ClickHouse;
const limiters: Limiter[] = [];
const monitors: LossMonitor[] = [];
const registry = new Registry();

beforeAll(async () => {
  [redisServer, clickhouse] = await Promise.all([startRedis(), freshDatabase()]);
  redis = connectRedis(redisServer.url, logger);
  reader = newLimiter();
  await storeUsage(clickhouse, [
    { tenant: 'utc', units: 7, timeMs: nowMs, route: '*' },
    { tenant: 'utc', units: 30, timeMs: nowMs, route: 'POST /agent/chat' },
    { tenant: 'utc', units: 40, timeMs: periodAt('hour', null, nowMs).startMs - 1, route: '*' },
    { tenant: 'utc', units: 200, timeMs: periodAt('month', null, nowMs).startMs - 1, route: '*' },
    { tenant: 'tokyo', units: 9, timeMs: periodAt('day', 'Asia/Tokyo', nowMs).startMs, route: '*' },
    { tenant: 'tokyo', units: 11, timeMs: periodAt('day', 'Asia/Tokyo', nowMs).startMs - 1, route: '*' },
    { tenant: 'reset', units: 20, timeMs: nowMs - 3000, route: '*' },
    { tenant: 'reset', units: 5, timeMs: nowMs - 1000, route: '*' },
    { tenant: 'saver', units: 30, timeMs: periodAt('day', null, nowMs).startMs - 1, route: '*' },
    { tenant: 'saver', units: 55, timeMs: periodAt('day', null, nowMs).startMs - 86_400_001, route: '*' },
    { tenant: 'saver', units: 4, timeMs: nowMs, route: '*' },
    { tenant: 'huge', units: 1e300, timeMs: nowMs, route: '*' },
  ]);
  monitors.push(monitorWith('first'), monitorWith('second'));
});

afterAll(async () => {
  await Promise.all(monitors.map((monitor) => monitor.close()));
  await Promise.all(limiters.map((limiter) => limiter.close()));
  redis.disconnect();
  await redisServer.dispose();
  await clickhouse.command(`DROP DATABASE ${clickhouse.options.database}`);
  await clickhouse.close();
});

function newLimiter(): Limiter {
  const limiter = limiterOn(redis, 'tg');
  limiters.push(limiter);
  return limiter;
}

function monitorWith(token: string): LossMonitor {
  const limiter = newLimiter();
  const metrics = token === 'first' ? registry : new Registry();
  const restorer = createQuotaRestorer({
    limiter,
    clickhouse,
    drift: createDrift(metrics, systemClock),
    registry: metrics,
  });
  return startLossMonitor({
    watch: createLossWatch({ redis, keyPrefix: 'tg', token, generations: createGenerations(clickhouse) }),
    rebuild: async () => {
      const readings = await readTenantQuotas({ clickhouse, policy, records, nowMs: Date.now() });
      await restorer.restore(readings, 'counted');
      return { counters: readings.length };
    },
    registry: metrics,
    logger,
  });
}

/** Used units of each quota, as a check reports them. */
async function usedOf(tenantId: string): Promise<Record<string, number>> {
  const states = await statesOf(tenantId);
  return Object.fromEntries(states.map(({ name, limit, remaining }) => [name, limit - remaining]));
}

async function statesOf(tenantId: string): Promise<readonly LimitState[]> {
  const record = records.get(tenantId) ?? null;
  const limits = quotasFor(policy, { plan: 'free', record, nowMs: Date.now() });
  const result = await reader.check({
    tenantId,
    userId: null,
    ip: '127.0.0.1',
    limits,
    cost: 1,
    peek: true,
    ...(record?.time_zone === undefined ? {} : { calendar: record.time_zone }),
  });
  if (result.degraded) throw new Error('Redis did not answer');
  return result.states;
}

async function expectRestored(): Promise<true> {
  const hourBeforeIsToday =
    periodAt('hour', null, nowMs).startMs > periodAt('day', null, nowMs).startMs ? 40 : 0;
  expect(await usedOf('utc')).toMatchObject({ hour: 37, day: 37 + hourBeforeIsToday, chat: 30 });
  expect((await usedOf('utc'))['month']).toBeLessThan(200);
  expect((await usedOf('tokyo'))['day']).toBe(9);
  expect(await usedOf('reset')).toMatchObject({ day: 5 });
  // The day before has 70 units left, of which at most 60 are carried over.
  const spare = (await statesOf('saver')).find(({ name }) => name === 'spare');
  expect(spare).toMatchObject({ limit: 160, carried: 60, remaining: 156 });
  return true;
}

describe('counters are rebuilt from ClickHouse', () => {
  test('at the first start, in every period, time zone and route, without the units from before a reset', async () => {
    await eventually(() => monitors.every((monitor) => monitor.trusted()));
    await expectRestored();
  });

  test.each([
    ['FLUSHALL', () => redis.call('FLUSHALL')],
    [
      'a restart without data',
      async () => {
        await redisServer.kill();
        await redisServer.restart();
      },
    ],
  ])('within 3 s of %s', async (_, lose) => {
    await lose();
    const sinceLossMs = startUndisturbedTime();
    await eventually(expectRestored);
    const rebuiltMs = sinceLossMs();
    process.stderr.write(`counters rebuilt ${Math.round(rebuiltMs)} ms after the loss\n`);
    expect(rebuiltMs).toBeLessThan(3_000);
  });

  test('again when the data is lost a second time while the first rebuild runs', async () => {
    await redis.call('FLUSHALL');
    await eventually(async () => String(await redis.get('tg:{=alive.0}')).startsWith('rebuilding:'), {
      intervalMs: 1,
    });
    await redis.call('FLUSHALL');
    const sinceLossMs = startUndisturbedTime();
    await eventually(expectRestored);
    expect(sinceLossMs()).toBeLessThan(3_000);
  });

  test('by one of several reconcilers: only one claims the marker', async () => {
    await eventually(() => monitors.every((monitor) => monitor.trusted()));
    const [first, second] = ['x', 'y'].map((token) =>
      createLossWatch({ redis, keyPrefix: 'other', token, generations: createGenerations(clickhouse) }),
    );
    const [lost] = await first!.lost();
    expect(await Promise.all([first!.claim(lost!), second!.claim(lost!)])).toEqual([
      'claimed',
      'claimed_elsewhere',
    ]);
    expect(await second!.complete(lost!)).toBe('lost');
    expect(await first!.complete(lost!)).toBe('trusted');
    expect(await second!.lost()).toEqual([]);
  });

  test('again when an older copy of the same run is in use again, also by a reconciler that started later', async () => {
    await eventually(() => monitors.every((monitor) => monitor.trusted()));
    const key = 'newcomer:{=alive.0}';
    const watch = (token: string) =>
      createLossWatch({ redis, keyPrefix: 'newcomer', token, generations: createGenerations(clickhouse) });
    const rebuild = async (token: string): Promise<void> => {
      const [lost] = await watch(token).lost();
      expect(await watch(token).claim(lost!)).toBe('claimed');
      expect(await watch(token).complete(lost!)).toBe('trusted');
    };
    await rebuild('first');
    const olderMarker = await redis.get(key);
    await redis.del(key);
    await rebuild('second');
    const newerMarker = await redis.get(key);
    expect(await watch('third').lost()).toEqual([]);
    await redis.set(key, olderMarker!);
    expect(await watch('third').lost()).toHaveLength(1);
    await redis.set(key, newerMarker!);
    // After a rebuild that started but did not complete, a copy from before the rebuild is also detected as older.
    await redis.del(key);
    const [unfinished] = await watch('dies').lost();
    await watch('dies').claim(unfinished!);
    await redis.set(key, newerMarker!);
    expect(await watch('third').lost()).toHaveLength(1);
  });

  test('C2: except those of a tenant whose total is too large for a counter, which does not stop the others', async () => {
    const restorer = createQuotaRestorer({
      limiter: reader,
      clickhouse,
      drift: createDrift(new Registry(), systemClock),
      registry: new Registry(),
    });
    const readings = await readTenantQuotas({ clickhouse, policy, records, nowMs: Date.now() });
    const unrestored = await restorer.restore(readings, 'counted');
    expect(new Set(unrestored.map(({ tenantId }) => tenantId))).toEqual(new Set(['huge']));
    expect(unrestored[0]?.reason).toMatch(/^quota \w+: a quota counter cannot hold 1e\+300 units$/);
    expect(await usedOf('huge')).toMatchObject({ day: 0, month: 0 });
    await expectRestored();
  });

  test('and a counter of Redis above the total of ClickHouse is not lowered', async () => {
    const limits = quotasFor(policy, { plan: 'free', record: null, nowMs: Date.now() });
    const check = { tenantId: 'utc', userId: null, ip: '127.0.0.1', limits, cost: 3, peek: false };
    await reader.check(check);
    const before = await usedOf('utc');
    const restorer = createQuotaRestorer({
      limiter: reader,
      clickhouse,
      drift: createDrift(new Registry(), systemClock),
      registry: new Registry(),
    });
    await restorer.restore(
      await readTenantQuotas({ clickhouse, policy, records, nowMs: Date.now() }),
      'counted',
    );
    expect(await usedOf('utc')).toEqual(before);
  });
});
