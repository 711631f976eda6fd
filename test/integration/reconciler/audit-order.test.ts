// Goal: the audit calls nothing a loss because a clock was set or a topic was created anew, and finds real losses then too.
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { pino } from 'pino';
import { Registry } from 'prom-client';
import { auditLosses } from '../../../shared/audit/audit.ts';
import type { LossReport } from '../../../shared/audit/audit.ts';
import { spoolRunName } from '../../../shared/domain/spool-run.ts';
import type { UsageCloudEvent } from '../../../shared/domain/usage-event.ts';
import { createLogEnds } from '../../../shared/kafka/log-ends.ts';
import { parsePolicy } from '../../../shared/policy/load.ts';
import { connectRedis } from '../../../shared/redis/client.ts';
import type { RedisClient } from '../../../shared/redis/client.ts';
import { createLimiter } from '../../../shared/redis/limiter.ts';
import type { Limiter } from '../../../shared/redis/limiter.ts';
import { systemClock } from '../../../shared/runtime/clock.ts';
import { recreateTopic } from '../../faults/kafka/recreate-topic.ts';
import { eventually, servers, uniqueNamespace } from '../../support/servers.ts';
import { createBed } from '../aggregator/bed.ts';
import type { Bed } from '../aggregator/bed.ts';
import { meterEvent, requestEvent } from '../aggregator/events.ts';

const logger = pino({ level: 'silent' });
const policy = parsePolicy(
  'test.yaml',
  `version: 1
links: { documentation: https://d.example, upgrade: https://u.example }
identity: { anonymous: ip }
default_plan: pro
plans:
  pro: { limits: [{ name: day, per: tenant, limit: 100000, window: 1d, type: quota }] }
`,
  {},
  { secrets: 'optional' },
);
const openedAtMs = Date.now() - 60_000;
const run = (salt: string, first = 1, laterMs = 0): string =>
  spoolRunName({ folder: 'f1', openedAtMs: openedAtMs + laterMs, salt, first });

let redis: RedisClient;
let bed: Bed;
let limiter: Limiter;
let groupId: string;
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
  limiter = createLimiter({
    redis,
    keyPrefix,
    clock: systemClock,
    registry: new Registry(),
    logger,
    callTimeoutMs: 2_000,
  });
  bed.start();
});
afterEach(async () => {
  await limiter.close();
  await bed.dispose();
});

function audit(): Promise<LossReport> {
  const { kafka, topics, clickhouse } = bed;
  const records: [] = [];
  return auditLosses(
    {
      kafka,
      topics,
      groupId,
      clickhouse,
      limiter,
      policy: () => policy,
      records: () => records,
      clock: systemClock,
      settleMs: 0,
      patienceMs: 5_000,
    },
    1,
  );
}

async function spend(tenantId: string, cost: number): Promise<void> {
  const { limits } = policy.plans.get('pro')!;
  const request = { tenantId, userId: null, ip: '192.0.2.1', limits, cost, peek: false };
  await eventually(async () => (await limiter.check(request)).passed);
}

function stamped(event: UsageCloudEvent, sequence: number, spool = run('aa')): UsageCloudEvent {
  return { ...event, spool, spoolsequence: sequence, data: { ...(event.data as object), sequence } };
}

/** Requests of two tenants with the numbers given, counted in Redis as a gateway would. */
async function requests(numbers: readonly number[], spool = run('aa')): Promise<UsageCloudEvent[]> {
  const events = numbers.map((number) => stamped(requestEvent(`tenant-${number % 2}`), number, spool));
  for (const tenant of new Set(events.map(({ subject }) => subject)))
    await spend(tenant, events.filter(({ subject }) => subject === tenant).length);
  return events;
}

function send(events: readonly UsageCloudEvent[]): Promise<void> {
  // In the order in which a spool writes it, the stamp first: it is looked for in the first bytes.
  return bed.produce(
    events.map(({ spool, spoolsequence, ...event }) => ({
      tenant: event.subject,
      value: spool === undefined ? event : { spool, spoolsequence, ...event },
    })),
  );
}

/** Until the aggregator has committed all that was sent. */
async function drained(): Promise<void> {
  const ends = createLogEnds(bed.kafka, bed.topics.usage, groupId);
  await eventually(async () => (await ends.read()).every(({ end, committed }) => end === committed), {
    timeoutMs: 30_000,
    intervalMs: 100,
  });
  ends.close();
}

const upTo = (last: number): number[] => Array.from({ length: last }, (_, index) => index + 1);

const from = (first: number, last: number): number[] => upTo(last).slice(first - 1);

test('runs of a spool are ordered by their numbers where the clock of the node was set back between them', async () => {
  await send(await requests(upTo(10), run('aa')));
  await send(await requests(from(11, 20), run('bb', 11, -3_600_000)));
  await send(await requests(from(21, 30), run('cc', 21, 5_000)));
  await drained();
  expect(await audit()).toMatchObject({ lost: 0, setBack: [], missingSequences: {} });
});

test('a loss at the end of a run is found where the clock of the node was set back after it', async () => {
  await send(await requests(upTo(8), run('aa')));
  await send(await requests(from(11, 20), run('bb', 11, -3_600_000)));
  await drained();
  expect(await audit()).toMatchObject({
    lost: 2,
    setBack: [],
    missingSequences: { [`node-1 ${run('aa')}`]: [{ from: 9, to: 10 }] },
  });
});

/** Requests, then API events of which most are repeats that rightly have no row. */
async function fillOldTopic(): Promise<void> {
  await send(await requests(upTo(50)));
  const meter = meterEvent('tenant-1');
  await send(from(51, 90).map((number) => stamped({ ...meter }, number)));
  await send(await requests(from(91, 100)));
  await drained();
  const storedAt = performance.now();
  await eventually(() => performance.now() - storedAt > 1_500);
}

/** To a topic that was created a moment ago: until its leaders are known, and until all is stored. */
async function sendToNewTopic(events: readonly UsageCloudEvent[]): Promise<void> {
  await eventually(() => send(events).then(() => true), { timeoutMs: 30_000 });
  const wanted = new Set(events.map(({ spoolsequence }) => spoolsequence));
  await eventually(
    async () => {
      const rows = await bed.clickhouse.query<{ sequence: number }>(
        'SELECT toUInt32(sequence) AS sequence FROM stored_events',
      );
      return rows.filter(({ sequence }) => wanted.has(sequence)).length >= wanted.size;
    },
    { timeoutMs: 40_000, intervalMs: 100 },
  );
  await drained();
}

test('a topic that was deleted and created again makes no loss of what was explained by its records', async () => {
  await fillOldTopic();
  await recreateTopic(bed.kafka, bed.topics.usage, 3);
  await sendToNewTopic(await requests(from(101, 120)));
  expect(await audit()).toMatchObject({ lost: 0, lostRecords: [], setBack: [], missingSequences: {} });
});

test('rows of a deleted topic do not hide a loss under the same offsets of the one that was created again', async () => {
  await fillOldTopic();
  await recreateTopic(bed.kafka, bed.topics.usage, 3);
  await sendToNewTopic(await requests(from(101, 120)));
  await bed.clickhouse.command(
    'ALTER TABLE stored_events DELETE WHERE sequence IN (105, 120) SETTINGS mutations_sync = 2',
  );
  const report = await audit();
  expect(report).toMatchObject({ lost: 2 });
  expect(report.lostRecords).toHaveLength(2);
});
