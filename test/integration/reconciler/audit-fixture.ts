import { afterAll, afterEach, beforeAll, beforeEach } from 'vitest';
import { pino } from 'pino';
import { Registry } from 'prom-client';
import { auditLosses } from '../../../shared/loss-audit/loss-audit.ts';
import type { LossReport } from '../../../shared/loss-audit/loss-audit.ts';
import type { Policy } from '../../../shared/domain/policy.ts';
import { spoolRunName } from '../../../shared/domain/spool-run.ts';
import type { UsageCloudEvent } from '../../../shared/domain/usage-event.ts';
import { createLogEnds } from '../../../shared/kafka/offsets/topic-offsets.ts';
import { parsePolicy } from '../../../shared/policy/load.ts';
import { connectRedis } from '../../../shared/redis/client.ts';
import type { RedisClient } from '../../../shared/redis/client.ts';
import { createLimiter } from '../../../shared/redis/decision/limiter.ts';
import type { Limiter } from '../../../shared/redis/decision/limiter.ts';
import { systemClock } from '../../../shared/runtime/time/clock.ts';
import { eventually, servers, uniqueNamespace } from '../../support/servers.ts';
import { createFixture } from '../aggregator/fixture.ts';
import type { Fixture, RunningAggregator } from '../aggregator/fixture.ts';
import { requestEvent } from '../aggregator/events.ts';

const logger = pino({ level: 'silent' });
const dayPolicy = parsePolicy(
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

export const openedAtMs = Date.now() - 60_000;

/** The run id of one run of a spool folder. */
export function spoolRun(salt: string, first = 1, laterMs = 0): string {
  return spoolRunName({ folder: 'f1', openedAtMs: openedAtMs + laterMs, salt, first });
}

/** A pipeline for each test to audit: a running aggregator, and the counters of the plan `pro` in Redis. */
export interface AuditFixture {
  readonly fixture: Fixture;
  readonly aggregator: RunningAggregator;
  /** Audits the last hour, including the most recent events. */
  readonly audit: () => Promise<LossReport>;
  /** Charges units to a tenant in Redis, as a gateway does. */
  readonly spend: (tenantId: string, cost: number) => Promise<void>;
  /** Creates request events of two tenants with these sequence numbers, and charges them in Redis. */
  readonly requests: (numbers: readonly number[], spool?: string) => Promise<UsageCloudEvent[]>;
  readonly send: (events: readonly UsageCloudEvent[]) => Promise<void>;
  /** Resolves when the aggregator has committed all events that were sent. */
  readonly drained: (timeoutMs?: number) => Promise<void>;
  /** Commits the offsets of all sent events, so that the aggregator skips the events without reading them. */
  readonly skipAll: () => Promise<void>;
}

/** Registers the hooks that create a new fixture for each test of the file. */
export function useAuditFixture(policy: Policy = dayPolicy): AuditFixture {
  let redis: RedisClient;
  let fixture: Fixture;
  let aggregator: RunningAggregator;
  let limiter: Limiter;
  let groupId: string;
  beforeAll(() => {
    redis = connectRedis(servers().redisUrl, logger);
  });
  afterAll(() => {
    redis.disconnect();
  });
  beforeEach(async () => {
    fixture = await createFixture();
    groupId = fixture.topics.usage.replace('usage.v1', 'aggregator');
    const { keyPrefix } = uniqueNamespace();
    const registry = new Registry();
    limiter = createLimiter({
      redis,
      keyPrefix,
      clock: systemClock,
      registry,
      logger,
      callTimeoutMs: 10_000,
    });
    aggregator = fixture.start();
  });
  afterEach(async () => {
    await limiter.close();
    await fixture.dispose();
  });
  return {
    get fixture() {
      return fixture;
    },
    get aggregator() {
      return aggregator;
    },
    audit: () => auditFixture({ fixture, groupId, limiter, policy }),
    spend,
    requests,
    send: (events) => send(fixture, events),
    drained: (timeoutMs) => untilDrained({ fixture, groupId }, timeoutMs),
    skipAll: () => skipAll({ fixture, groupId }),
  };

  async function spend(tenantId: string, cost: number): Promise<void> {
    const { limits } = policy.plans.get('pro')!;
    const request = { tenantId, userId: null, ip: '192.0.2.1', limits, cost, peek: false };
    await eventually(async () => (await limiter.check(request)).passed);
  }

  async function requests(numbers: readonly number[], spool = spoolRun('aa')): Promise<UsageCloudEvent[]> {
    const events = numbers.map((number) => numbered(requestEvent(`tenant-${number % 2}`), number, spool));
    for (const tenant of new Set(events.map(({ subject }) => subject)))
      await spend(tenant, events.filter(({ subject }) => subject === tenant).length);
    return events;
  }
}

export function numbered(event: UsageCloudEvent, sequence: number, spool = spoolRun('aa')): UsageCloudEvent {
  return { ...event, spool, spoolsequence: sequence, data: { ...(event.data as object), sequence } };
}

export const upTo = (last: number): number[] => Array.from({ length: last }, (_, index) => index + 1);

interface Group {
  readonly fixture: Fixture;
  readonly groupId: string;
}

interface AuditOptions extends Group {
  readonly limiter: Limiter;
  readonly policy: Policy;
}

function auditFixture({ fixture, groupId, limiter, policy }: AuditOptions): Promise<LossReport> {
  const { kafka, topics, clickhouse } = fixture;
  const stores = { kafka, topics, groupId, clickhouse, limiter, clock: systemClock };
  return auditLosses(
    { ...stores, policy: () => policy, records: () => [], settleMs: 0, patienceMs: 5_000 },
    1,
  );
}

function send(fixture: Fixture, events: readonly UsageCloudEvent[]): Promise<void> {
  // The fields are in the order in which a spool writes them: readers search the first bytes for the run id and the
  // sequence number.
  return fixture.produce(
    events.map(({ spool, spoolsequence, ...event }) => ({
      tenant: event.subject,
      value: spool === undefined ? event : { spool, spoolsequence, ...event },
    })),
  );
}

/** Accepts committed offsets above the end of a partition: if a topic is created again, the old offsets may remain. */
async function untilDrained({ fixture, groupId }: Group, timeoutMs = 30_000): Promise<void> {
  const ends = createLogEnds(fixture.kafka, fixture.topics.usage, groupId);
  await eventually(async () => (await ends.read()).every(({ end, committed }) => committed >= end), {
    timeoutMs,
    intervalMs: 100,
  });
  ends.close();
}

async function skipAll({ fixture, groupId }: Group): Promise<void> {
  const ends = createLogEnds(fixture.kafka, fixture.topics.usage, groupId);
  const partitions = (await ends.read()).map(({ partition, end }) => ({ partition, offset: String(end) }));
  ends.close();
  const connection = fixture.kafka.open();
  const admin = connection.client.admin();
  await admin.connect();
  await admin.setOffsets({ groupId, topic: fixture.topics.usage, partitions });
  connection.destroy();
}
