/**
 * Goal: every response that a client received is exactly one event in ClickHouse and in every total, whatever died.
 * Method: the real gateway and aggregator on servers of their own, a steady load, faults at seeded random moments;
 * then the load ends, everything settles, and what clients saw is compared with what is stored.
 */
import { randomBytes } from 'node:crypto';
import { rm } from 'node:fs/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { ensureTopics } from '../../../shared/kafka/ensure-topics.ts';
import { createKafka } from '../../../shared/kafka/kafka.ts';
import { topicsWith } from '../../../shared/kafka/topics.ts';
import { createLogger } from '../../../shared/runtime/logger.ts';
import {
  eventually,
  startClickHouse,
  startKafka,
  startRedis,
  uniqueNamespace,
} from '../../support/servers.ts';
import { startServices } from '../../support/services.ts';
import type { Installation } from '../../support/services.ts';
import { faultNames, inject, passing, seeded } from './faults.ts';
import type { Targets } from './faults.ts';
import { checkInvariants } from './invariants.ts';
import { startLoad, startUpstream } from './load.ts';

const long = process.env['TOLLGATE_FAULTS'] === 'long';
const faultCount = Number(process.env['TOLLGATE_FAULT_COUNT'] ?? (long ? 110 : 11));
const seed = Number(process.env['TOLLGATE_SEED'] ?? randomBytes(4).readUInt32LE());
const jwtSecret = randomBytes(32).toString('hex');
const settleTimeoutMs = 120_000;

let servers: {
  redis: Awaited<ReturnType<typeof startRedis>>;
  kafka: Awaited<ReturnType<typeof startKafka>>;
  clickhouse: Awaited<ReturnType<typeof startClickHouse>>;
};
let upstream: Awaited<ReturnType<typeof startUpstream>>;

beforeAll(async () => {
  const [redis, kafka, clickhouse] = await Promise.all([
    startRedis({ durable: true }),
    startKafka(),
    startClickHouse(),
  ]);
  servers = { redis, kafka, clickhouse };
  upstream = await startUpstream();
});

afterAll(async () => {
  upstream.close();
  await Promise.all([servers.redis.dispose(), servers.kafka.dispose(), servers.clickhouse.dispose()]);
});

test(
  `nothing is lost and nothing counted twice through ${faultCount} faults`,
  { timeout: 240_000 + faultCount * 30_000 },
  async () => {
    console.log(`seed ${seed}: repeat with TOLLGATE_SEED=${seed}`);
    const random = seeded(seed);
    const { installation, database } = await install();
    const targets: Targets = { installation, ...servers };
    const ledger = await startLoad({
      gatewayUrl: installation.urls.gateway,
      jwtSecret,
      tenants: ['free-a', 'free-b', 'big-a', 'big-b', 'big-c'],
      requestsPerSecond: 150,
    });
    try {
      for (const fault of schedule(faultCount, random)) {
        await passing(200 + random() * 1_300);
        const downMs = Math.round(100 + random() * (long ? 4_000 : 1_500));
        console.log(`${fault} for ${downMs} ms`);
        await inject(fault, downMs, targets);
      }
      await passing(1_000);
      await ledger.stop();
      const verdict = await settled(database, ledger);
      console.log(
        `${ledger.responses()} responses, ${ledger.unanswered()} unanswered, ${verdict.stored} events`,
      );
      expect(ledger.strange()).toEqual([]);
      expect(verdict.broken).toEqual([]);
      expect(ledger.responses()).toBeGreaterThan(faultCount * 20);
    } finally {
      await ledger.stop().catch(() => undefined);
      await installation.stop();
    }
  },
);

test(
  'the comparison sees a loss: a spool thrown away after a crash breaks it',
  { timeout: 180_000 },
  async () => {
    const { installation, database } = await install();
    const ledger = await startLoad({
      gatewayUrl: installation.urls.gateway,
      jwtSecret,
      tenants: ['big-a'],
      requestsPerSecond: 100,
    });
    try {
      await eventually(() => ledger.responses() > 50);
      servers.kafka.pause();
      const before = ledger.responses();
      await eventually(() => ledger.responses() > before + 50);
      await installation.service('gateway').kill();
      await ledger.stop();
      await rm(installation.env['TOLLGATE_SPOOL_DIR'] ?? '', { recursive: true, force: true });
      servers.kafka.resume();
      await installation.service('gateway').restart();
      const verdict = await eventually(async () => {
        const now = await checkInvariants(servers.clickhouse.url, database, ledger);
        return now.stored > 0 ? now : null;
      });
      expect(verdict.broken.join('\n')).toMatch(/have no event/);
    } finally {
      servers.kafka.resume();
      await ledger.stop().catch(() => undefined);
      await installation.stop();
    }
  },
);

async function install(): Promise<{ installation: Installation; database: string }> {
  const { topicPrefix, database, keyPrefix } = uniqueNamespace();
  const kafka = createKafka({
    brokers: servers.kafka.brokers,
    clientId: 'test',
    logger: createLogger('test', 'error'),
  });
  await ensureTopics(kafka, topicsWith(topicPrefix), { partitions: 3 });
  const installation = await startServices(['aggregator', 'gateway'], {
    REDIS_URL: servers.redis.url,
    KAFKA_BROKERS: servers.kafka.brokers,
    CLICKHOUSE_URL: servers.clickhouse.url,
    CLICKHOUSE_DATABASE: database,
    TOLLGATE_TOPIC_PREFIX: topicPrefix,
    TOLLGATE_KEY_PREFIX: keyPrefix,
    TOLLGATE_POLICY: 'policies/default.yaml',
    TOLLGATE_UPSTREAM: upstream.url,
    TOLLGATE_JWT_SECRET: jwtSecret,
    TOLLGATE_SERVICE_TOKEN: randomBytes(16).toString('hex'),
    TOLLGATE_NODE: 'fault-node',
    LOG_LEVEL: 'warn',
  });
  return { installation, database };
}

/** Every kind of fault equally often, in random order. */
function schedule(count: number, random: () => number): (typeof faultNames)[number][] {
  return Array.from({ length: count }, (_, index) => ({
    fault: faultNames[index % faultNames.length] ?? 'kill gateway',
    at: random(),
  }))
    .sort((a, b) => a.at - b.at)
    .map(({ fault }) => fault);
}

/** The last verdict, once it is clean or the deadline has passed. */
async function settled(
  database: string,
  ledger: Awaited<ReturnType<typeof startLoad>>,
): Promise<Awaited<ReturnType<typeof checkInvariants>>> {
  const deadline = Date.now() + settleTimeoutMs;
  for (;;) {
    const verdict = await checkInvariants(servers.clickhouse.url, database, ledger);
    if (verdict.broken.length === 0 || Date.now() > deadline) return verdict;
    await passing(500);
  }
}
