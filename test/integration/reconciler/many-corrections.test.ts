// Goal: the loss audit accounts for every correction, however many there are, and still finds the one that is lost.
// Method: a real aggregator applies 50,000 outcomes of requests, numbered by a spool; one number and one record are kept
// from it.
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { pino } from 'pino';
import { Registry } from 'prom-client';
import { auditLosses } from '../../../shared/audit/audit.ts';
import type { LossReport } from '../../../shared/audit/audit.ts';
import { amendEventType } from '../../../shared/domain/correction.ts';
import { spoolRunName } from '../../../shared/domain/spool-run.ts';
import type { UsageCloudEvent } from '../../../shared/domain/usage-event.ts';
import { createLogEnds } from '../../../shared/kafka/log-ends.ts';
import { connectRedis } from '../../../shared/redis/client.ts';
import type { RedisClient } from '../../../shared/redis/client.ts';
import { createLimiter } from '../../../shared/redis/limiter.ts';
import type { Limiter } from '../../../shared/redis/limiter.ts';
import { systemClock } from '../../../shared/runtime/clock.ts';
import { eventually, servers, uniqueNamespace } from '../../support/servers.ts';
import { policyOf } from '../../unit/policy/text.ts';
import { createBed } from '../aggregator/bed.ts';
import type { Bed, RunningAggregator } from '../aggregator/bed.ts';
import { meterEvent, requestEvent } from '../aggregator/events.ts';

const logger = pino({ level: 'silent' });
const policy = policyOf({
  plans:
    '{ free: { limits: [] }, pro: { limits: [{ name: day, per: tenant, limit: 100000, window: 1d, type: quota }] } }',
});
const spool = spoolRunName({ folder: 'f1', openedAtMs: Date.now() - 60_000, salt: 'aa', first: 1 });

let redis: RedisClient;
let bed: Bed;
let limiter: Limiter;
let groupId: string;
let aggregator: RunningAggregator;
beforeAll(() => {
  redis = connectRedis(servers().redisUrl, logger);
});
afterAll(() => {
  redis.disconnect();
});
beforeEach(async () => {
  bed = await createBed();
  groupId = bed.topics.usage.replace('usage.v1', 'aggregator');
  const { keyPrefix } = uniqueNamespace();
  const registry = new Registry();
  limiter = createLimiter({ redis, keyPrefix, clock: systemClock, registry, logger, callTimeoutMs: 2_000 });
  aggregator = bed.start();
});
afterEach(async () => {
  await limiter.close();
  await bed.dispose();
});

function audit(): Promise<LossReport> {
  const { kafka, topics, clickhouse } = bed;
  const stores = { kafka, topics, groupId, clickhouse, limiter, clock: systemClock };
  return auditLosses(
    { ...stores, policy: () => policy, records: () => [], settleMs: 0, patienceMs: 5_000 },
    1,
  );
}

/** In the order in which a spool writes it, the stamp first: it is looked for in the first bytes. */
function stamped(event: UsageCloudEvent, spoolsequence: number) {
  const { subject, data } = event;
  return {
    tenant: subject,
    value: { spool, spoolsequence, ...event, data: { ...(data as object), sequence: spoolsequence } },
  };
}

function outcome(request: UsageCloudEvent, spoolsequence: number) {
  const data = {
    event_id: request.id,
    event_source: request.source,
    event_time: request.time,
    status: 500,
    latency_ms: 9,
  };
  const event = { ...meterEvent(request.subject, { type: amendEventType }), source: request.source, data };
  return { tenant: request.subject, value: { spool, spoolsequence, ...event } };
}

async function ends(): Promise<readonly { partition: number; end: number; committed: number | null }[]> {
  const log = createLogEnds(bed.kafka, bed.topics.usage, groupId);
  try {
    return await log.read();
  } finally {
    log.close();
  }
}

/** Until the aggregator has committed all that was sent. */
async function drained(): Promise<void> {
  await eventually(async () => (await ends()).every(({ end, committed }) => end === committed), {
    timeoutMs: 120_000,
    intervalMs: 200,
  });
}

test('50,000 corrections are no loss, and a number or a record that is lost among them is found', async () => {
  const [requestCount, count] = [1_000, 50_000];
  const requests = Array.from({ length: requestCount }, (_, index) => requestEvent(`tenant-${index % 3}`));
  await bed.produce(requests.map((event, index) => stamped(event, index + 1)));
  const outcomes = Array.from({ length: count }, (_, index) =>
    outcome(requests[index % requestCount]!, requestCount + 1 + index),
  );
  for (let from = 0; from < count; from += 2_000) await bed.produce(outcomes.slice(from, from + 2_000));
  await drained();
  expect(await audit()).toMatchObject({
    lost: 0,
    lostRecords: [],
    missingSequences: {},
    cut: false,
    disagreements: [],
  });

  const next = requestCount + count + 1;
  const later = Array.from({ length: 10 }, (_, index) => outcome(requests[index]!, next + index));
  await bed.produce(later.filter(({ value }) => value.spoolsequence !== next + 5));
  await drained();
  await aggregator.stop();
  const skipped = requestEvent('tenant-0');
  await bed.produce([outcome(skipped, next + 10)]);
  await skipAll();
  const report = await audit();
  expect(report.lostRecords).toMatchObject([{ tenant_id: 'tenant-0' }]);
  expect(report.missingSequences).toEqual({ [`node-1 ${spool}`]: [{ from: next + 5, to: next + 5 }] });
  expect(report).toMatchObject({ lost: 2, cut: false });
}, 180_000);

test('a tenant whose requests have outcomes is still compared with Redis', async () => {
  const requests = Array.from({ length: 5 }, () => requestEvent('tenant-0'));
  const { limits } = policy.plans.get('pro')!;
  const question = { tenantId: 'tenant-0', userId: null, ip: '192.0.2.1', limits, cost: 7, peek: false };
  await eventually(async () => (await limiter.check(question)).passed);
  await bed.produce([
    ...requests.map((event, index) => stamped(event, index + 1)),
    ...requests.map((event, index) => outcome(event, index + 6)),
  ]);
  await drained();
  const difference = { tenant_id: 'tenant-0', quota: 'day', route: null, redis: 7, clickhouse: 5 };
  expect(await audit()).toMatchObject({ lost: 0, counters: [difference] });
});

/** As an aggregator would that commits what it never read. */
async function skipAll(): Promise<void> {
  const partitions = (await ends()).map(({ partition, end }) => ({ partition, offset: String(end) }));
  const connection = bed.kafka.open();
  const admin = connection.client.admin();
  await admin.connect();
  await admin.setOffsets({ groupId, topic: bed.topics.usage, partitions });
  connection.destroy();
}
