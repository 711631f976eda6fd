import { randomInt } from 'node:crypto';
import { createClickHouse } from '../../shared/clickhouse/client.ts';
import { clickHouseServer } from '../../shared/clickhouse/environment.ts';
import { clickHouseTime } from '../../shared/clickhouse/server-time.ts';
import { kafkaCluster } from '../../shared/kafka/environment.ts';
import { brokerTime } from '../../shared/kafka/kafkajs/broker-time.ts';
import { createKafka } from '../../shared/kafka/kafkajs/kafka.ts';
import { createTenantDirectory } from '../../shared/kafka/tables/tenant-directory.ts';
import { topicsWith } from '../../shared/kafka/topics.ts';
import { watchPolicy } from '../../shared/policy/load.ts';
import { createAgreedClock } from '../../shared/runtime/time/agreed-clock.ts';
import { readConfig } from '../../shared/runtime/config.ts';
import { providerOf } from '../../shared/runtime/provider.ts';
import { runService } from '../../shared/runtime/lifecycle.ts';
import { createLogger } from '../../shared/runtime/logger.ts';
import { createRegistry, listenOps } from '../../shared/runtime/http/ops.ts';
import { startTracing } from '../../shared/runtime/tracing/start-tracing.ts';
import { environment } from './environment.ts';
import { runAlerter } from './alerter.ts';
import { defaultRetryPlan } from './deliver/delivery.ts';
import { createMailer } from './deliver/email.ts';
import { createPost } from './deliver/post.ts';

const logger = createLogger('alerter', process.env['LOG_LEVEL'] ?? 'info');

await runService(logger, async (lifecycle, fail) => {
  const config = readConfig(environment, process.env);
  const registry = createRegistry('alerter');
  const tracing = await startTracing({ service: 'alerter', config, logger, lifecycle });
  const clock = createAgreedClock({ registry, logger, lifecycle });
  const policy = await watchPolicy(config.TOLLGATE_POLICY, process.env, { logger, registry });
  lifecycle.onClose('policy', () => policy.close());

  const clickhouse = createClickHouse({
    ...clickHouseServer(config),
    requestTimeoutMs: 10_000,
  });
  lifecycle.onClose('clickhouse', () => clickhouse.close());
  const kafka = createKafka({
    ...kafkaCluster(config),
    clientId: 'tollgate-alerter',
    logger,
    clock,
  });
  const topics = topicsWith(config.TOLLGATE_TOPIC_PREFIX);
  clock.compareWith([brokerTime(kafka, topics, lifecycle), clickHouseTime(clickhouse)]);
  const tenants = createTenantDirectory({ kafka, topics, registry });
  lifecycle.onClose('tenant records', () => tenants.close());
  const timeoutMs = config.TOLLGATE_WEBHOOK_TIMEOUT_MS;
  const { TOLLGATE_CONSOLE_URL: portal } = config;
  const sender = { ...providerOf(config), portal: portal === '' ? null : portal };
  const mailer = createMailer({
    sender,
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
    sender,
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
    tracing,
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
