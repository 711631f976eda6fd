// Goal: after a change of a tenant's time zone or billing day, its quotas count at least the units used since the new periods began.
import { pino } from 'pino';
import { Registry } from 'prom-client';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { runReconciler } from '../../../services/reconciler/reconciler.ts';
import type { Reconciler } from '../../../services/reconciler/reconciler.ts';
import type { ClickHouse } from '../../../shared/clickhouse/client.ts';
import { createGenerations } from '../../../shared/clickhouse/queries/counter-generations.ts';
import { ensureTopics } from '../../../shared/kafka/ensure-topics.ts';
import { createKafka } from '../../../shared/kafka/kafkajs/kafka.ts';
import { createTenantDirectory } from '../../../shared/kafka/tables/tenant-directory.ts';
import type { TenantDirectory } from '../../../shared/kafka/tables/tenant-directory.ts';
import { topicsWith } from '../../../shared/kafka/topics.ts';
import { parsePolicy } from '../../../shared/policy/load.ts';
import { quotasFor } from '../../../shared/policy/quota-readings.ts';
import { connectRedis } from '../../../shared/redis/client.ts';
import { createLimiter } from '../../../shared/redis/decision/limiter.ts';
import type { Limiter } from '../../../shared/redis/decision/limiter.ts';
import { createLossWatch } from '../../../shared/redis/loss-watch.ts';
import { eventually, servers, uniqueNamespace } from '../../support/servers.ts';
import { storeUsage } from '../../support/stored-usage.ts';
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
      - { name: day, per: tenant, limit: 100, window: 1d, type: quota }
      - { name: month, per: tenant, limit: 100, window: 1mo, type: quota }
`,
  {},
  { secrets: 'optional' },
);

/** Noon in UTC, at whatever hour the test runs: Tokyo's day began at 15:00 UTC of the day before. */
const dayMs = 86_400_000;
const midnight = Math.floor(Date.now() / dayMs) * dayMs;
const noon = midnight + 12 * 3_600_000;
const clock = { now: () => noon };
const dayBefore = (days: number): number => new Date(noon - days * dayMs).getUTCDate();
const billed = { tenant_id: 'billed', updated_at: new Date().toISOString(), updated_by: 'test' };
const { topicPrefix, keyPrefix } = uniqueNamespace();
const topics = topicsWith(topicPrefix);
const redis = connectRedis(servers().redisUrl, logger);
let clickhouse: ClickHouse;
let tenants: TenantDirectory;
let limiter: Limiter;
let reconciler: Reconciler;

beforeAll(async () => {
  const registry = new Registry();
  const kafka = createKafka({ brokers: servers().kafkaBrokers, clientId: 'test', logger });
  [clickhouse] = await Promise.all([freshDatabase(), ensureTopics(kafka, topics, { partitions: 1 })]);
  await storeUsage(clickhouse, [
    { tenant: 'acme', units: 25, timeMs: midnight - 3_600_000, route: '*' },
    { tenant: 'acme', units: 7, timeMs: midnight - 10 * 3_600_000, route: '*' },
    { tenant: 'acme', units: 40, timeMs: midnight + 3_600_000, route: '*' },
    { tenant: 'billed', units: 30, timeMs: noon - 20 * dayMs, route: '*' },
    { tenant: 'billed', units: 21, timeMs: noon - 5 * dayMs, route: '*' },
    { tenant: 'billed', units: 4, timeMs: noon - dayMs, route: '*' },
  ]);
  tenants = createTenantDirectory({ kafka, topics, registry });
  await tenants.put({ ...billed, billing_day: dayBefore(3) });
  limiter = createLimiter({
    redis,
    keyPrefix,
    clock,
    redisTime: clock,
    registry,
    logger,
    callTimeoutMs: 10_000,
  });
  reconciler = runReconciler({
    ...{ kafka, topics, tenants, clickhouse, limiter, clock, registry, logger },
    groupId: `${topicPrefix}reconciler`,
    watch: createLossWatch({ redis, keyPrefix, token: 'test', generations: createGenerations(clickhouse) }),
    policy: () => policy,
    onStalled: (error) => {
      throw error;
    },
  });
  await eventually(() => reconciler.unready().length === 0);
});

afterAll(async () => {
  await reconciler.close();
  await Promise.all([tenants.close(), limiter.close()]);
  await clickhouse.command(`DROP DATABASE ${clickhouse.options.database}`);
  await clickhouse.close();
  redis.disconnect();
});

async function used(calendar: string, cost: number, peek = true, tenantId = 'acme'): Promise<number> {
  const period = tenantId === 'acme' ? 'day' : 'month';
  const quotas = quotasFor(policy, { plan: 'free', record: null, nowMs: noon });
  const limits = quotas.filter((quota) => quota.period === period);
  const caller = { tenantId, userId: null, ip: '127.0.0.1' };
  const { states, degraded } = await limiter.check({ ...caller, limits, cost, peek, calendar });
  expect(degraded).toBe(false);
  return 100 - (states[0]?.remaining ?? 0);
}

test('a time zone changed at noon adds the units used since its own midnight, without any traffic', async () => {
  // The first rebuild has counted the UTC day; 10 more units are in flight to ClickHouse.
  await eventually(async () => (await used('UTC', 1)) === 40);
  expect(await used('UTC', 10, false)).toBe(50);
  const record = { tenant_id: 'acme', updated_at: new Date().toISOString(), updated_by: 'test' };
  await tenants.put({ ...record, time_zone: 'Asia/Tokyo' });
  // Tokyo's day began 9 hours before UTC's midnight: the 25 units of 23:00 UTC count, the 7 units of 14:00 UTC do not.
  await eventually(async () => (await used('Asia/Tokyo', 1)) === 65);
  // The day of Los Angeles began at 07:00 UTC, after the 40 units: the counter is not lowered, and the next day starts at zero.
  await tenants.put({ ...record, time_zone: 'America/Los_Angeles' });
  expect(await used('America/Los_Angeles', 1)).toBe(65);
});

test('a billing day changed in the middle of the month adds the units since the new month began, without any traffic', async () => {
  const count = (billingDay: number, cost = 1, peek = true): Promise<number> =>
    used(`UTC@${billingDay}`, cost, peek, 'billed');
  const [recent, earlier] = [dayBefore(3), dayBefore(10)];
  await eventually(async () => (await count(recent)) === 4);
  expect(await count(recent, 2, false)).toBe(6);
  // The month that began ten days ago contains the units of five days ago, and not those of twenty days ago.
  await tenants.put({ ...billed, billing_day: earlier });
  await eventually(async () => (await count(earlier)) === 25);
});
