import { randomInt } from 'node:crypto';
import { Type } from 'typebox';
import { createClickHouse } from '../../shared/clickhouse/client.ts';
import { clickHouseTime } from '../../shared/clickhouse/server-time.ts';
import { kafkaVariables, readKafkaSecurity } from '../../shared/kafka/kafka-config.ts';
import { brokerTime } from '../../shared/kafka/kafkajs/broker-time.ts';
import { createKafka } from '../../shared/kafka/kafkajs/kafka.ts';
import { createTenantDirectory } from '../../shared/kafka/tables/tenant-directory.ts';
import { topicsWith } from '../../shared/kafka/topics.ts';
import { watchPolicy } from '../../shared/policy/load.ts';
import { createAgreedClock } from '../../shared/runtime/time/agreed-clock.ts';
import { readConfig } from '../../shared/runtime/config.ts';
import { runService } from '../../shared/runtime/lifecycle.ts';
import { hostVariable } from '../../shared/runtime/http/listen-address.ts';
import { createLogger } from '../../shared/runtime/logger.ts';
import { createRegistry, listenOps } from '../../shared/runtime/http/ops.ts';
import { runAlerter } from './alerter.ts';
import { defaultRetryPlan } from './deliver/delivery.ts';
import { createMailer } from './deliver/email.ts';
import { createPost } from './deliver/post.ts';

const configSchema = Type.Object({
  HOST: hostVariable,
  OPS_PORT: Type.Integer({ minimum: 0, maximum: 65_535, default: 8093 }),
  ...kafkaVariables,
  CLICKHOUSE_URL: Type.String({ default: 'http://127.0.0.1:8123' }),
  CLICKHOUSE_DATABASE: Type.String({ default: 'tollgate' }),
  CLICKHOUSE_USER: Type.String({ default: 'default' }),
  CLICKHOUSE_PASSWORD: Type.String({ default: '' }),
  TOLLGATE_POLICY: Type.String({ default: 'policies/default.yaml' }),
  TOLLGATE_TOPIC_PREFIX: Type.String({ default: 'tollgate.' }),
  /** `smtp://user:password@host:587`; empty: mail is not set up. */
  SMTP_URL: Type.String({ default: '' }),
  SMTP_FROM: Type.String({ default: 'Tollgate <tollgate@localhost>' }),
  /** Lets notifications go to addresses of this network. For tests and a stack on one machine. */
  TOLLGATE_WEBHOOK_ALLOW_PRIVATE: Type.Boolean({ default: false }),
  TOLLGATE_WEBHOOK_TIMEOUT_MS: Type.Integer({ minimum: 100, default: 10_000 }),
  TOLLGATE_WEBHOOK_ATTEMPTS_MAX: Type.Integer({ minimum: 1, default: defaultRetryPlan.attemptsMax }),
  TOLLGATE_WEBHOOK_RETRY_MS: Type.Integer({ minimum: 1, default: defaultRetryPlan.baseMs }),
  TOLLGATE_HEARTBEAT_MS: Type.Integer({ minimum: 100, default: 60_000 }),
  TOLLGATE_SESSION_TIMEOUT_MS: Type.Integer({ minimum: 6_000, default: 10_000 }),
});

const logger = createLogger('alerter', process.env['LOG_LEVEL'] ?? 'info');

await runService(logger, async (lifecycle, fail) => {
  const config = readConfig(configSchema, process.env);
  const registry = createRegistry('alerter');
  const clock = createAgreedClock({ registry, logger, lifecycle });
  const policy = await watchPolicy(config.TOLLGATE_POLICY, process.env, { logger, registry });
  lifecycle.onClose('policy', () => policy.close());

  const clickhouse = createClickHouse({
    url: config.CLICKHOUSE_URL,
    database: config.CLICKHOUSE_DATABASE,
    username: config.CLICKHOUSE_USER,
    password: config.CLICKHOUSE_PASSWORD,
    requestTimeoutMs: 10_000,
  });
  lifecycle.onClose('clickhouse', () => clickhouse.close());
  const kafka = createKafka({
    brokers: config.KAFKA_BROKERS,
    security: readKafkaSecurity(config),
    clientId: 'tollgate-alerter',
    logger,
    clock,
  });
  const topics = topicsWith(config.TOLLGATE_TOPIC_PREFIX);
  clock.compareWith([brokerTime(kafka, topics, lifecycle), clickHouseTime(clickhouse)]);
  const tenants = createTenantDirectory({ kafka, topics, registry });
  lifecycle.onClose('tenant records', () => tenants.close());
  const timeoutMs = config.TOLLGATE_WEBHOOK_TIMEOUT_MS;
  const mailer = createMailer({
    smtpUrl: config.SMTP_URL === '' ? null : config.SMTP_URL,
    from: config.SMTP_FROM,
    timeoutMs,
  });

  const alerter = runAlerter({
    kafka,
    topics,
    groupPrefix: `${config.TOLLGATE_TOPIC_PREFIX}alerter-`,
    tenants,
    clickhouse,
    policy: () => policy.current(),
    onPolicy: (listener) => policy.onChange(listener),
    post: createPost({ allowPrivate: config.TOLLGATE_WEBHOOK_ALLOW_PRIVATE, timeoutMs }),
    mailer,
    retryPlan: {
      ...defaultRetryPlan,
      attemptsMax: config.TOLLGATE_WEBHOOK_ATTEMPTS_MAX,
      baseMs: config.TOLLGATE_WEBHOOK_RETRY_MS,
    },
    sessionTimeoutMs: config.TOLLGATE_SESSION_TIMEOUT_MS,
    heartbeatMs: config.TOLLGATE_HEARTBEAT_MS,
    clock,
    random: () => randomInt(1_000_000) / 1_000_000,
    registry,
    logger,
    onStalled: fail,
  });
  lifecycle.onClose('alerter', async () => {
    await alerter.close();
    mailer.close();
  });
  const ops = await listenOps(config.HOST, config.OPS_PORT, {
    registry,
    unready: () => alerter.unready(),
    notes: () => clock.notes(),
  });
  lifecycle.onClose('ops', () => ops.close());
  logger.info({ port: config.OPS_PORT, policy: policy.current().revision }, 'alerter started');
});
