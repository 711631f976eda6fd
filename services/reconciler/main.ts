import { randomUUID } from 'node:crypto';
import type { Static } from 'typebox';
import { auditLosses } from '../../shared/loss-audit/loss-audit.ts';
import { createClickHouse } from '../../shared/clickhouse/client.ts';
import { clickHouseServer } from '../../shared/clickhouse/environment.ts';
import type { ClickHouse } from '../../shared/clickhouse/client.ts';
import { clickHouseTime } from '../../shared/clickhouse/server-time.ts';
import { createGenerations } from '../../shared/clickhouse/queries/counter-generations.ts';
import { kafkaCluster } from '../../shared/kafka/environment.ts';
import { exportClusterMetrics } from '../../shared/kafka/cluster-metrics.ts';
import { brokerTime } from '../../shared/kafka/kafkajs/broker-time.ts';
import { createKafka } from '../../shared/kafka/kafkajs/kafka.ts';
import { createTenantDirectory } from '../../shared/kafka/tables/tenant-directory.ts';
import { topicsWith } from '../../shared/kafka/topics.ts';
import { watchPolicy } from '../../shared/policy/load.ts';
import { connectRedis, redisTime } from '../../shared/redis/client.ts';
import { createLimiter } from '../../shared/redis/decision/limiter.ts';
import { createProcessReports } from '../../shared/redis/process-reports.ts';
import { exportServerMetrics } from '../../shared/redis/server-metrics.ts';
import { createLossWatch } from '../../shared/redis/loss-watch.ts';
import { createAgreedClock } from '../../shared/runtime/time/agreed-clock.ts';
import { readConfig } from '../../shared/runtime/config.ts';
import { runService } from '../../shared/runtime/lifecycle.ts';
import type { Lifecycle } from '../../shared/runtime/lifecycle.ts';
import { createLogger } from '../../shared/runtime/logger.ts';
import { createRegistry, listenOps } from '../../shared/runtime/http/ops.ts';
import { startTracing } from '../../shared/runtime/tracing/start-tracing.ts';
import { environment } from './environment.ts';
import { startLossAudit } from './loss-audit.ts';
import { startPlanPrices } from './plan-prices.ts';
import { runReconciler } from './reconciler.ts';
import { startReservationCounts } from './reservation-counts.ts';

const logger = createLogger('reconciler', process.env['LOG_LEVEL'] ?? 'info');

await runService(logger, async (lifecycle, fail) => {
  const config = readConfig(environment, process.env);
  const registry = createRegistry('reconciler');
  const tracing = await startTracing({ service: 'reconciler', config, logger, lifecycle });
  const clock = createAgreedClock({ registry, logger, lifecycle });
  const policy = await watchPolicy(config.TOLLGATE_POLICY, process.env, { logger, registry });
  lifecycle.onClose('policy', () => policy.close());

  const redis = connectRedis(config.REDIS_URL, logger);
  lifecycle.onClose('redis', () => redis.quit());
  const keyPrefix = config.TOLLGATE_KEY_PREFIX;
  const limiter = createLimiter({ redis, keyPrefix, clock, registry, logger });
  lifecycle.onClose('limiter', () => limiter.close());
  const clickhouse = openClickHouse(config, lifecycle);
  const kafka = createKafka({ ...kafkaCluster(config), clientId: 'tollgate-reconciler', logger, clock });
  const topics = topicsWith(config.TOLLGATE_TOPIC_PREFIX);
  clock.compareWith([redisTime(redis), brokerTime(kafka, topics, lifecycle), clickHouseTime(clickhouse)]);
  const redisFigures = exportServerMetrics(redis, { registry });
  lifecycle.onClose('figures of redis', () => redisFigures.close());
  const cluster = exportClusterMetrics(kafka, Object.values(topics), { registry });
  lifecycle.onClose('figures of kafka', () => cluster.close());
  const tenants = createTenantDirectory({ kafka, topics, registry });
  lifecycle.onClose('tenant records', () => tenants.close());

  const reconciler = runReconciler({
    kafka,
    topics,
    groupId: `${config.TOLLGATE_TOPIC_PREFIX}reconciler`,
    tenants,
    clickhouse,
    limiter,
    watch: createLossWatch({
      ...{ redis, keyPrefix, token: randomUUID() },
      generations: createGenerations(clickhouse),
    }),
    policy: () => policy.current(),
    clock,
    registry,
    logger,
    onStalled: fail,
    tracing,
  });
  lifecycle.onClose('reconciler', () => reconciler.close());
  const stores = { kafka, topics, groupId: `${config.TOLLGATE_TOPIC_PREFIX}aggregator`, clickhouse, limiter };
  const now = { policy: () => policy.current(), records: () => tenants.all(), clock };
  const lossAudit = startLossAudit({
    audit: () => auditLosses({ ...stores, ...now }, config.TOLLGATE_AUDIT_HOURS),
    intervalMs: config.TOLLGATE_AUDIT_INTERVAL_MS,
    reports: createProcessReports({ redis, keyPrefix, clock }),
    clock,
    registry,
    logger,
  });
  lifecycle.onClose('loss audit', () => lossAudit.close());
  const reservations = startReservationCounts({ clickhouse, clock, registry, logger });
  lifecycle.onClose('reservation counts', () => reservations.close());
  const planPrices = startPlanPrices({ clickhouse, policy, logger });
  lifecycle.onClose('plan prices', () => planPrices.close());
  const ops = await listenOps(config.HOST, config.OPS_PORT, {
    registry,
    unready: () => reconciler.unready(),
    notes: () => clock.notes(),
  });
  lifecycle.onClose('ops', () => ops.close());
  logger.info({ port: config.OPS_PORT, policy: policy.current().revision }, 'reconciler started');
});

function openClickHouse(config: Static<typeof environment>, lifecycle: Lifecycle): ClickHouse {
  const clickhouse = createClickHouse({
    ...clickHouseServer(config),
    requestTimeoutMs: 10_000,
  });
  lifecycle.onClose('clickhouse', () => clickhouse.close());
  return clickhouse;
}
