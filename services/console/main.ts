import { Type } from 'typebox';
import { createClickHouse } from '../../shared/clickhouse/client.ts';
import type { ClickHouse } from '../../shared/clickhouse/client.ts';
import { clickHouseTime } from '../../shared/clickhouse/server-time.ts';
import { kafkaCluster, kafkaVariables } from '../../shared/kafka/environment.ts';
import { brokerTime } from '../../shared/kafka/kafkajs/broker-time.ts';
import { createKafka } from '../../shared/kafka/kafkajs/kafka.ts';
import { createProducer } from '../../shared/kafka/producer/producer.ts';
import { createTenantDirectory } from '../../shared/kafka/tables/tenant-directory.ts';
import { topicsWith } from '../../shared/kafka/topics.ts';
import { watchPolicy } from '../../shared/policy/load.ts';
import { connectRedis, redisTime } from '../../shared/redis/client.ts';
import { createLimiter } from '../../shared/redis/decision/limiter.ts';
import { createAgreedClock } from '../../shared/runtime/time/agreed-clock.ts';
import { readConfig, secretVariable, serviceVariables } from '../../shared/runtime/config.ts';
import { runService } from '../../shared/runtime/lifecycle.ts';
import type { Lifecycle } from '../../shared/runtime/lifecycle.ts';
import { listenOn } from '../../shared/runtime/http/listen-address.ts';
import { createLogger } from '../../shared/runtime/logger.ts';
import { createRegistry } from '../../shared/runtime/http/ops.ts';
import { secretLengthMax } from './admin/authenticate.ts';
import { createConsole } from './console.ts';
import { createDeadLetterDesk } from './dead-letter-desk.ts';
import { createLossAuditor } from './loss-auditor.ts';
import { createSessionEnds } from './sessions/session-ends.ts';
import { createTestMessages } from './test-messages.ts';
import { createUsageReader } from './usage-reader.ts';

const port = (fallback: number): ReturnType<typeof Type.Integer> =>
  Type.Integer({ minimum: 0, maximum: 65_535, default: fallback });

const config = readConfig(
  Type.Object({
    REDIS_URL: Type.String({ default: 'redis://127.0.0.1:6379' }),
    ...kafkaVariables,
    CLICKHOUSE_URL: Type.String({ default: 'http://127.0.0.1:8123' }),
    CLICKHOUSE_DATABASE: Type.String({ default: 'tollgate' }),
    CLICKHOUSE_USER: Type.String({ default: 'default' }),
    CLICKHOUSE_PASSWORD: Type.String({ default: '' }),
    TOLLGATE_POLICY: Type.String({ default: 'policies/default.yaml' }),
    TOLLGATE_ADMIN_TOKEN: secretVariable(
      'Token that opens the admin API and the operator console.',
      secretLengthMax,
    ),
    TOLLGATE_PORTAL_SECRET: secretVariable('Signs portal links and sessions.'),
    TOLLGATE_KEY_PREFIX: Type.String({ default: 'tg' }),
    TOLLGATE_CONSOLE_URL: Type.String({ default: '' }),
    ...serviceVariables,
    ADMIN_PORT: port(8082),
    CONSOLE_PORT: port(8083),
  }),
  process.env,
);
const logger = createLogger('console', config.LOG_LEVEL);
/** Nothing is decided here, so a busy Redis may take its time; a gateway gives it milliseconds. */
const redisTimeoutMs = 1_500;
/** A page waits for ClickHouse no longer than a person does. */
const clickHouseTimeoutMs = 5_000;

await runService(logger, async (lifecycle) => {
  const registry = createRegistry('console');
  const clock = createAgreedClock({ registry, logger, lifecycle });
  const watch = await watchPolicy(config.TOLLGATE_POLICY, process.env, { logger, registry });
  lifecycle.onClose('policy', () => watch.close());
  const redis = connectRedis(config.REDIS_URL, logger);
  lifecycle.onClose('redis', async () => {
    redis.disconnect();
    return Promise.resolve();
  });
  const keyPrefix = config.TOLLGATE_KEY_PREFIX;
  const limiter = createLimiter({
    redis,
    keyPrefix,
    clock,
    registry,
    logger,
    callTimeoutMs: redisTimeoutMs,
  });
  lifecycle.onClose('limiter', () => limiter.close());
  const clickhouse = openClickHouse(lifecycle);
  const kafka = createKafka({
    ...kafkaCluster(config),
    clientId: 'tollgate-console',
    logger,
    clock,
  });
  const topics = topicsWith(config.TOLLGATE_TOPIC_PREFIX);
  clock.compareWith([redisTime(redis), brokerTime(kafka, topics, lifecycle), clickHouseTime(clickhouse)]);
  const directory = createTenantDirectory({ kafka, topics, registry });
  lifecycle.onClose('tenant records', () => directory.close());
  const producer = createProducer(kafka, { registry, deliveryTimeoutMs: 10_000 });
  lifecycle.onClose('producer', () => producer.close());
  const sessionEnds = createSessionEnds({ kafka, topics, producer, clock, registry });
  lifecycle.onClose('ended sessions', () => sessionEnds.close());

  let publicUrl = config.TOLLGATE_CONSOLE_URL.replace(/(?<!\/)\/+$/, '');
  const pages = await createConsole({
    notes: () => clock.notes(),
    policy: () => watch.current(),
    directory,
    limiter,
    usage: createUsageReader({ clickhouse, policy: () => watch.current(), registry }),
    deadLetters: createDeadLetterDesk({ kafka, producer, topic: topics.deadLetters }),
    lossAuditor: createLossAuditor({
      kafka,
      topics,
      groupId: `${config.TOLLGATE_TOPIC_PREFIX}aggregator`,
      clickhouse,
      limiter,
      policy: () => watch.current(),
      records: () => directory.all(),
      clock,
    }),
    testMessages: createTestMessages(producer, topics.alerts),
    sessionEnds,
    adminToken: config.TOLLGATE_ADMIN_TOKEN,
    portalSecret: config.TOLLGATE_PORTAL_SECRET,
    publicUrl: () => publicUrl,
    clock,
    logger,
    registry,
  });
  lifecycle.onClose('listeners', () => pages.close());
  const admin = await listenOn(pages.admin, config.HOST, config.ADMIN_PORT);
  const web = await listenOn(pages.web, config.HOST, config.CONSOLE_PORT);
  if (publicUrl === '') publicUrl = web;
  logger.info({ admin, console: web, policy: watch.current().revision }, 'console ready');
});

function openClickHouse(lifecycle: Lifecycle): ClickHouse {
  const clickhouse = createClickHouse({
    url: config.CLICKHOUSE_URL,
    database: config.CLICKHOUSE_DATABASE,
    username: config.CLICKHOUSE_USER,
    password: config.CLICKHOUSE_PASSWORD,
    requestTimeoutMs: clickHouseTimeoutMs,
    // What a visitor no longer waits for is not computed either.
    settings: { cancel_http_readonly_queries_on_client_close: 1 },
  });
  lifecycle.onClose('clickhouse', () => clickhouse.close());
  return clickhouse;
}
