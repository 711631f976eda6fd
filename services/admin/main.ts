import type { Static } from 'typebox';
import { createClickHouse } from '../../shared/clickhouse/client.ts';
import type { ClickHouse } from '../../shared/clickhouse/client.ts';
import { clickHouseServer } from '../../shared/clickhouse/environment.ts';
import { clickHouseTime } from '../../shared/clickhouse/server-time.ts';
import { createDeadLetterService } from '../../shared/kafka/dead-letters/dead-letter-service.ts';
import { kafkaCluster } from '../../shared/kafka/environment.ts';
import { brokerTime } from '../../shared/kafka/kafkajs/broker-time.ts';
import { createKafka } from '../../shared/kafka/kafkajs/kafka.ts';
import { createProducer } from '../../shared/kafka/producer/producer.ts';
import { createTenantDirectory } from '../../shared/kafka/tables/tenant-directory.ts';
import { topicsWith } from '../../shared/kafka/topics.ts';
import { watchPolicy } from '../../shared/policy/load.ts';
import { connectRedis, redisTime } from '../../shared/redis/client.ts';
import { createLimiter } from '../../shared/redis/decision/limiter.ts';
import { readConfig } from '../../shared/runtime/config.ts';
import { listenOn } from '../../shared/runtime/http/listen-address.ts';
import { createRegistry } from '../../shared/runtime/http/ops.ts';
import { runService } from '../../shared/runtime/lifecycle.ts';
import type { Lifecycle } from '../../shared/runtime/lifecycle.ts';
import { createLogger } from '../../shared/runtime/logger.ts';
import { createStoreReads } from '../../shared/runtime/store-reads.ts';
import { createAgreedClock } from '../../shared/runtime/time/agreed-clock.ts';
import { createEndedSessions } from '../../shared/sessions/ended-sessions.ts';
import { createPortalLinks, withoutSlashes } from '../../shared/sessions/portal-links.ts';
import { createTokens } from '../../shared/sessions/tokens.ts';
import { createTenantRecords } from '../../shared/tenants/records.ts';
import { createResets } from '../../shared/tenants/reset.ts';
import { createUsageReader } from '../../shared/tenants/usage-reader.ts';
import { createAdminApp } from './app.ts';
import { environment } from './environment.ts';

/**
 * The timeout is longer than a gateway's few milliseconds: the admin API decides no requests, so it can wait for a
 * busy Redis.
 */
const redisTimeoutMs = 1_500;
const clickHouseTimeoutMs = 5_000;
const deliveryTimeoutMs = 10_000;

const config = readConfig(environment, process.env);
const logger = createLogger('admin', config.LOG_LEVEL);

await runService(logger, async (lifecycle) => {
  const registry = createRegistry('admin');
  const clock = createAgreedClock({ registry, logger, lifecycle });
  const watch = await watchPolicy(config.TOLLGATE_POLICY, process.env, { logger, registry });
  lifecycle.onClose('policy', () => watch.close());
  const policy = (): ReturnType<typeof watch.current> => watch.current();
  const redis = connectRedis(config.REDIS_URL, logger);
  lifecycle.onClose('redis', async () => {
    redis.disconnect();
    return Promise.resolve();
  });
  const keyPrefix = config.TOLLGATE_KEY_PREFIX;
  const limiter = createLimiter({ redis, keyPrefix, clock, registry, logger, callTimeoutMs: redisTimeoutMs });
  lifecycle.onClose('limiter', () => limiter.close());
  const clickhouse = openClickHouse(config, lifecycle);
  const kafka = createKafka({
    ...kafkaCluster(config),
    clientId: 'tollgate-admin',
    logger,
    clock,
  });
  const topics = topicsWith(config.TOLLGATE_TOPIC_PREFIX);
  clock.compareWith([redisTime(redis), brokerTime(kafka, topics, lifecycle), clickHouseTime(clickhouse)]);
  const directory = createTenantDirectory({ kafka, topics, registry });
  lifecycle.onClose('tenant records', () => directory.close());
  const producer = createProducer(kafka, { registry, deliveryTimeoutMs });
  lifecycle.onClose('producer', () => producer.close());
  const ended = createEndedSessions({ kafka, topics, producer, clock, registry });
  lifecycle.onClose('ended sessions', () => ended.close());

  const records = createTenantRecords({ directory, clock, logger, registry });
  const usage = createUsageReader({ clickhouse, policy, registry });
  const tokens = createTokens(config.TOLLGATE_PORTAL_SECRET, config.TOLLGATE_ADMIN_TOKEN, clock);
  const consoleUrl = withoutSlashes(config.TOLLGATE_CONSOLE_URL);
  const app = await createAdminApp({
    ...{ policy, directory, limiter, usage, records, ended, clock, logger, registry },
    resets: createResets({ records, limiter, usage, policy, clock, logger }),
    reads: createStoreReads({ registry, logger }),
    deadLetters: createDeadLetterService({ kafka, producer, topic: topics.deadLetters }),
    auditSources: {
      ...{ kafka, topics, clickhouse, limiter, policy, clock },
      groupId: `${config.TOLLGATE_TOPIC_PREFIX}aggregator`,
      records: () => directory.all(),
    },
    portalLinks: createPortalLinks({ tokens, ended, consoleUrl: () => consoleUrl, clock, logger }),
    adminToken: config.TOLLGATE_ADMIN_TOKEN,
    notes: () => clock.notes(),
  });
  lifecycle.onClose('listener', () => app.close());
  const admin = await listenOn(app, config.HOST, config.ADMIN_PORT);
  logger.info({ admin, console: consoleUrl, policy: policy().revision }, 'admin ready');
});

function openClickHouse(settings: Static<typeof environment>, lifecycle: Lifecycle): ClickHouse {
  const clickhouse = createClickHouse({
    ...clickHouseServer(settings),
    requestTimeoutMs: clickHouseTimeoutMs,
    // ClickHouse cancels a query when its client disconnects.
    settings: { cancel_http_readonly_queries_on_client_close: 1 },
  });
  lifecycle.onClose('clickhouse', () => clickhouse.close());
  return clickhouse;
}
