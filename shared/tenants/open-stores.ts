import type { Static, TObject } from 'typebox';
import { createClickHouse } from '../clickhouse/client.ts';
import { clickHouseServer } from '../clickhouse/environment.ts';
import type { clickHouseVariables } from '../clickhouse/environment.ts';
import { clickHouseTime } from '../clickhouse/server-time.ts';
import { createAuditLog } from '../kafka/audit-log.ts';
import { createDeadLetterService } from '../kafka/dead-letters/dead-letter-service.ts';
import { kafkaCluster } from '../kafka/environment.ts';
import type { kafkaVariables } from '../kafka/environment.ts';
import { brokerTime } from '../kafka/kafkajs/broker-time.ts';
import { createKafka } from '../kafka/kafkajs/kafka.ts';
import { createProducer } from '../kafka/producer/producer.ts';
import { createTenantDirectory } from '../kafka/tables/tenant-directory.ts';
import { topicsWith } from '../kafka/topics.ts';
import type { Policy } from '../domain/policy.ts';
import type { policyVariables } from '../policy/environment.ts';
import { watchPolicy } from '../policy/load.ts';
import { connectRedis, redisTime } from '../redis/client.ts';
import { createLimiter } from '../redis/decision/limiter.ts';
import { createProcessReports } from '../redis/process-reports.ts';
import type { redisVariables } from '../redis/environment.ts';
import { createRegistry } from '../runtime/http/ops.ts';
import type { Lifecycle } from '../runtime/lifecycle.ts';
import type { Logger } from '../runtime/logger.ts';
import { createStoreReads } from '../runtime/store-reads.ts';
import { createAgreedClock } from '../runtime/time/agreed-clock.ts';
import { exportOpenRequests } from './limit-requests/list-requests.ts';
import { createInstallation } from './list/installation.ts';
import { createAuditTrail } from './audit-trail.ts';
import { createTenantRecords } from './records.ts';
import { createResets } from './reset.ts';
import { createUsageReader } from './usage-reader.ts';

/**
 * Longer than a gateway's few milliseconds: the admin API and the console decide no requests, so they can wait for a
 * busy Redis.
 */
const redisTimeoutMs = 1_500;
/** Longest time that an operator or a visitor should wait for a response. */
const clickHouseTimeoutMs = 5_000;
const deliveryTimeoutMs = 10_000;

/** Values of the environment variables of the stores. */
type StoreConfig = Static<
  TObject<typeof redisVariables & typeof kafkaVariables & typeof clickHouseVariables & typeof policyVariables>
>;

export interface TenantStoresOptions {
  /** Name of the service, `admin` or `console`. */
  readonly service: string;
  readonly config: StoreConfig;
  /** The environment, from which the policy reads its secrets. */
  readonly env: NodeJS.ProcessEnv;
  readonly lifecycle: Lifecycle;
  readonly logger: Logger;
}

/** Opens the policy and the three stores for a process that reads and changes tenants, and closes them with its lifecycle. */
export async function openTenantStores({ service, config, env, lifecycle, logger }: TenantStoresOptions) {
  const registry = createRegistry(service);
  const clock = createAgreedClock({ registry, logger, lifecycle });
  const watch = await watchPolicy(config.TOLLGATE_POLICY, env, { logger, registry });
  lifecycle.onClose('policy', () => watch.close());
  const policy = (): Policy => watch.current();
  const redis = connectRedis(config.REDIS_URL, logger);
  lifecycle.onClose('redis', async () => {
    redis.disconnect();
    return Promise.resolve();
  });
  const keyPrefix = config.TOLLGATE_KEY_PREFIX;
  const limiter = createLimiter({ redis, keyPrefix, clock, registry, logger, callTimeoutMs: redisTimeoutMs });
  lifecycle.onClose('limiter', () => limiter.close());
  const clickhouse = createClickHouse({
    ...clickHouseServer(config),
    requestTimeoutMs: clickHouseTimeoutMs,
    // ClickHouse cancels a query when its client disconnects.
    settings: { cancel_http_readonly_queries_on_client_close: 1 },
  });
  lifecycle.onClose('clickhouse', () => clickhouse.close());
  const kafka = createKafka({ ...kafkaCluster(config), clientId: `tollgate-${service}`, logger, clock });
  const topics = topicsWith(config.TOLLGATE_TOPIC_PREFIX);
  clock.compareWith([redisTime(redis), brokerTime(kafka, topics, lifecycle), clickHouseTime(clickhouse)]);
  const directory = createTenantDirectory({ kafka, topics, registry });
  lifecycle.onClose('tenant records', () => directory.close());
  const producer = createProducer(kafka, { registry, deliveryTimeoutMs });
  lifecycle.onClose('producer', () => producer.close());
  const reads = createStoreReads({ registry, logger });
  const source = service === 'console' ? 'console' : 'admin-api';
  const audit = createAuditLog({ producer, topics, source, clock, registry, logger });
  const records = createTenantRecords({ directory, source, clock, logger, registry });
  exportOpenRequests(registry, () => directory.all());
  const usage = createUsageReader({ clickhouse, policy, registry });
  return {
    policyWatch: watch,
    ...{
      registry,
      clock,
      policy,
      limiter,
      clickhouse,
      kafka,
      topics,
      directory,
      producer,
      records,
      usage,
      audit,
    },
    resets: createResets({ records, audit, limiter, usage, policy, clock, logger }),
    reads,
    installation: createInstallation({ clickhouse, directory }),
    reports: createProcessReports({ redis, keyPrefix, clock }),
    auditTrail: createAuditTrail({ clickhouse, directory, reads }),
    deadLetters: createDeadLetterService({ kafka, producer, topic: topics.deadLetters }),
  };
}
