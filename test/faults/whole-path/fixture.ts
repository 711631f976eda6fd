import { randomBytes } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ensureTopics } from '../../../shared/kafka/ensure-topics.ts';
import { createKafka } from '../../../shared/kafka/kafkajs/kafka.ts';
import { topicsWith } from '../../../shared/kafka/topics.ts';
import type { Topics } from '../../../shared/kafka/topics.ts';
import { createLogger } from '../../../shared/runtime/logger.ts';
import { startClickHouse, startKafka, startRedis, uniqueNamespace } from '../../support/servers.ts';
import { startServices } from '../../support/services.ts';
import type { Installation } from '../../support/services.ts';
import { createSettableClock } from '../clocks/set-clock.ts';
import type { SettableClock } from '../clocks/set-clock.ts';
import { passing } from './faults.ts';
import { bigLimit, cappedLimit } from './counters.ts';
import { checkInvariants } from './invariants.ts';
import type { Verdict } from './invariants.ts';
import { startUpstream } from './load.ts';
import type { Ledger } from './load.ts';

/** Servers that only these tests use, so that a test can kill them, and an upstream. */
export interface Fixture {
  readonly redis: Awaited<ReturnType<typeof startRedis>>;
  readonly redisClock: SettableClock;
  readonly kafka: Awaited<ReturnType<typeof startKafka>>;
  readonly clickhouse: Awaited<ReturnType<typeof startClickHouse>>;
  readonly jwtSecret: string;
  /** Starts gateway, aggregator and reconciler on these servers, in a separate namespace. */
  install(env?: Readonly<Record<string, string>>): Promise<Installed>;
  dispose(): Promise<void>;
}

export interface Installed {
  readonly installation: Installation;
  readonly database: string;
  readonly topics: Topics;
}

/** The names of the load's tenants begin with the name of their plan. */
const policyText = `version: 1
links: { documentation: https://docs.example.com/limits, upgrade: https://example.com/pricing }
identity:
  jwt: { algorithms: [HS256], secret_env: TOLLGATE_JWT_SECRET, tenant: [tenant_id], user: sub, plan: tier }
  anonymous: ip
default_plan: big
plans:
  free: { limits: [{ name: minute, per: tenant, limit: 100, window: 1m }] }
  capped: { limits: [{ name: day, per: tenant, limit: ${cappedLimit}, window: 1d, type: quota }] }
  big: { limits: [{ name: day, per: tenant, limit: ${bigLimit}, window: 1d, type: quota }] }
platform: { limits: [{ name: platform, per: global, type: concurrent, limit: 1000 }] }
`;

const settleTimeoutMs = 120_000;

export async function makeFixture(): Promise<Fixture> {
  const redisClock = await createSettableClock();
  const [redis, kafka, clickhouse, upstream] = await Promise.all([
    startRedis({ durable: true, env: redisClock.env }),
    startKafka(),
    startClickHouse(),
    startUpstream(),
  ]);
  const jwtSecret = randomBytes(32).toString('hex');
  const dir = await mkdtemp(join(tmpdir(), 'tollgate-fixture-'));
  const policyPath = join(dir, 'policy.yaml');
  await writeFile(policyPath, policyText);
  return {
    redis,
    redisClock,
    kafka,
    clickhouse,
    jwtSecret,
    install,
    dispose: async () => {
      upstream.close();
      await Promise.all([redis.dispose(), kafka.dispose(), clickhouse.dispose()]);
      redisClock.dispose();
      await rm(dir, { recursive: true });
    },
  };

  async function install(env: Readonly<Record<string, string>> = {}): Promise<Installed> {
    const { topicPrefix, database, keyPrefix } = uniqueNamespace();
    const topics = topicsWith(topicPrefix);
    const client = createKafka({
      brokers: kafka.brokers,
      clientId: 'test',
      logger: createLogger('test', 'error'),
    });
    await ensureTopics(client, topics, { partitions: 3 });
    const installation = await startServices(['aggregator', 'gateway', 'reconciler'], {
      REDIS_URL: redis.url,
      KAFKA_BROKERS: kafka.brokers,
      CLICKHOUSE_URL: clickhouse.url,
      CLICKHOUSE_DATABASE: database,
      TOLLGATE_TOPIC_PREFIX: topicPrefix,
      TOLLGATE_KEY_PREFIX: keyPrefix,
      TOLLGATE_POLICY: policyPath,
      TOLLGATE_UPSTREAM: upstream.url,
      TOLLGATE_JWT_SECRET: jwtSecret,
      TOLLGATE_SERVICE_TOKEN: randomBytes(16).toString('hex'),
      TOLLGATE_NODE: 'fault-node',
      LOG_LEVEL: 'warn',
      ...env,
    });
    return { installation, database, topics };
  }
}

/** Checks the invariants until there is no violation or the deadline has passed. Returns the last result. */
export async function settled(clickhouseUrl: string, database: string, ledger: Ledger): Promise<Verdict> {
  const deadline = Date.now() + settleTimeoutMs;
  for (;;) {
    const verdict = await checkInvariants(clickhouseUrl, database, ledger);
    if (verdict.broken.length === 0 || Date.now() > deadline) return verdict;
    await passing(500);
  }
}
