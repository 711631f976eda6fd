import { setTimeout as wait } from 'node:timers/promises';
import { checkRetention } from '../../shared/clickhouse/check-retention.ts';
import { createClickHouse } from '../../shared/clickhouse/client.ts';
import { clickHouseServer } from '../../shared/clickhouse/environment.ts';
import { clickHouseTime } from '../../shared/clickhouse/server-time.ts';
import type { ClickHouse } from '../../shared/clickhouse/client.ts';
import { migrate, rawRetentionDaysDefault } from '../../shared/clickhouse/migrate.ts';
import type { MigrateOptions } from '../../shared/clickhouse/migrate.ts';
import { storedTimeBounds } from '../../shared/domain/events/bounds.ts';
import { kafkaCluster } from '../../shared/kafka/environment.ts';
import { brokerTime } from '../../shared/kafka/kafkajs/broker-time.ts';
import { createKafka } from '../../shared/kafka/kafkajs/kafka.ts';
import { topicsWith } from '../../shared/kafka/topics.ts';
import { createAgreedClock } from '../../shared/runtime/time/agreed-clock.ts';
import { readConfig } from '../../shared/runtime/config.ts';
import { TollgateError } from '../../shared/runtime/errors.ts';
import { runService } from '../../shared/runtime/lifecycle.ts';
import { createLogger } from '../../shared/runtime/logger.ts';
import { createOutageLog } from '../../shared/runtime/outage-log.ts';
import { createRegistry, listenOps } from '../../shared/runtime/http/ops.ts';
import { startTracing } from '../../shared/runtime/tracing/start-tracing.ts';
import { environment } from './environment.ts';
import { runAggregator } from './service.ts';

const migrateRetryMs = 1_000;
const clockWaitMs = 5_000;

const logger = createLogger('aggregator', process.env['LOG_LEVEL'] ?? 'info');

await runService(logger, async (lifecycle, fail) => {
  const config = readConfig(environment, process.env);
  const registry = createRegistry('aggregator');
  const tracing = await startTracing({ service: 'aggregator', config, logger, lifecycle });
  const clock = createAgreedClock({ registry, logger, lifecycle });
  const retentionDays = config.TOLLGATE_RAW_RETENTION_DAYS;
  let unready = (): readonly string[] => ['clickhouse'];
  const ops = await listenOps(config.HOST, config.OPS_PORT, {
    registry,
    unready: () => unready(),
    notes: () => clock.notes(),
  });
  lifecycle.onClose('ops', () => ops.close());

  const clickhouse = createClickHouse({
    ...clickHouseServer(config),
    settings:
      config.CLICKHOUSE_CLUSTER === '' ? {} : { insert_quorum: 'auto', select_sequential_consistency: '1' },
  });
  lifecycle.onClose('clickhouse', () => clickhouse.close());
  await migrateOnceUp(clickhouse, {
    cluster: config.CLICKHOUSE_CLUSTER === '' ? null : config.CLICKHOUSE_CLUSTER,
    rawRetentionDays: retentionDays,
  });

  const kafka = createKafka({
    ...kafkaCluster(config),
    clientId: 'tollgate-aggregator',
    logger,
    clock,
  });
  const topics = topicsWith(config.TOLLGATE_TOPIC_PREFIX);
  clock.compareWith([brokerTime(kafka, topics, lifecycle), clickHouseTime(clickhouse)]);
  // With a wrong clock, the aggregator would reject valid events as too old or as in the future.
  await clock.untilAgreed(clockWaitMs);
  unready = runAggregator({
    kafka,
    clickhouse,
    topics,
    groupId: `${config.TOLLGATE_TOPIC_PREFIX}aggregator`,
    bounds: storedTimeBounds(retentionDays),
    blockRowsMax: config.TOLLGATE_BLOCK_ROWS_MAX,
    lingerMs: config.TOLLGATE_BLOCK_LINGER_MS,
    clock,
    logger,
    registry,
    lifecycle,
    tracing,
    fail,
  });
  logger.info({ opsPort: config.OPS_PORT }, 'aggregator started');
});

/**
 * Waits for ClickHouse without a time limit; meanwhile the aggregator is not ready. Throws if an applied migration was
 * changed, or if the tables have another retention. The process then exits.
 */
async function migrateOnceUp(clickhouse: ClickHouse, options: MigrateOptions): Promise<void> {
  const outage = createOutageLog(logger);
  for (;;) {
    try {
      const ran = await migrate(clickhouse, options);
      if (ran.length > 0) logger.info({ ran }, 'migrated');
      await checkRetention(clickhouse, options.rawRetentionDays ?? rawRetentionDaysDefault);
      return;
    } catch (error) {
      if (!(error instanceof TollgateError) || error.code !== 'CLICKHOUSE_UNAVAILABLE') throw error;
      outage.failed(error, 'waiting for ClickHouse');
      await wait(migrateRetryMs);
    }
  }
}
