import { createClickHouse } from '../../../shared/clickhouse/client.ts';
import type { ClickHouse } from '../../../shared/clickhouse/client.ts';
import { migrate } from '../../../shared/clickhouse/migrate.ts';
import { ensureTopics } from '../../../shared/kafka/ensure-topics.ts';
import { createKafka } from '../../../shared/kafka/kafkajs/kafka.ts';
import type { Kafka } from '../../../shared/kafka/kafkajs/kafka.ts';
import { createProducer } from '../../../shared/kafka/producer/producer.ts';
import { topicsWith } from '../../../shared/kafka/topics.ts';
import type { Topics } from '../../../shared/kafka/topics.ts';
import { systemClock } from '../../../shared/runtime/time/clock.ts';
import { createLifecycle } from '../../../shared/runtime/lifecycle.ts';
import { createLogger } from '../../../shared/runtime/logger.ts';
import { createRegistry } from '../../../shared/runtime/http/ops.ts';
import type { Registry } from '../../../shared/runtime/http/ops.ts';
import { decodeBoundsDefault } from '../../../services/aggregator/events/decode.ts';
import { runAggregator } from '../../../services/aggregator/service.ts';
import { servers, uniqueNamespace } from '../../support/servers.ts';

export interface RunningAggregator {
  readonly unready: () => readonly string[];
  readonly registry: Registry;
  readonly stop: () => Promise<void>;
}

export interface Fixture {
  readonly kafka: Kafka;
  readonly topics: Topics;
  readonly database: string;
  readonly groupId: string;
  readonly clickhouse: ClickHouse;
  /** Sends values to the usage topic with the tenant as the key. Strings and buffers are sent without JSON encoding. */
  readonly produce: (
    records: readonly {
      readonly tenant: string;
      readonly value: unknown;
      readonly headers?: Readonly<Record<string, string>>;
    }[],
  ) => Promise<void>;
  readonly start: (options?: {
    readonly blockRowsMax?: number;
    /** Longest time for which a correction waits for its event. Default: a second. */
    readonly correctionWaitMs?: number;
    /** Time limit for one request to ClickHouse. */
    readonly requestTimeoutMs?: number;
  }) => RunningAggregator;
  readonly dispose: () => Promise<void>;
}

const logger = createLogger('test', 'silent');

/** Topics and a database that only this test uses, with aggregators in this process. */
export async function createFixture(clickhouseUrl: string = servers().clickhouseUrl): Promise<Fixture> {
  const { topicPrefix, database } = uniqueNamespace();
  const topics = topicsWith(topicPrefix);
  const kafka = createKafka({ brokers: servers().kafkaBrokers, clientId: 'test', logger });
  const clickhouse = createClickHouse({ url: clickhouseUrl, database });
  await migrate(clickhouse);
  await ensureTopics(kafka, topics, { partitions: 3 });
  const producer = createProducer(kafka, { registry: createRegistry('test') });
  const groupId = `${topicPrefix}aggregator`;
  const running = new Set<RunningAggregator>();
  return {
    kafka,
    topics,
    database,
    groupId,
    clickhouse,
    async produce(records) {
      await producer.send(
        topics.usage,
        records.map(({ tenant, value, headers = {} }) => ({
          key: tenant,
          headers,
          value: typeof value === 'string' || Buffer.isBuffer(value) ? value : JSON.stringify(value),
        })),
      );
    },
    start(options = {}) {
      const lifecycle = createLifecycle(logger);
      const registry = createRegistry('test');
      const { requestTimeoutMs } = options;
      const own = createClickHouse({
        ...{ url: clickhouseUrl, database },
        ...(requestTimeoutMs === undefined ? {} : { requestTimeoutMs }),
      });
      lifecycle.onClose('clickhouse', () => own.close());
      const unready = runAggregator({
        kafka,
        clickhouse: own,
        topics,
        groupId,
        bounds: decodeBoundsDefault,
        blockRowsMax: options.blockRowsMax ?? 10_000,
        lingerMs: 20,
        correctionWaitMs: options.correctionWaitMs ?? 1_000,
        clock: systemClock,
        logger,
        registry,
        lifecycle,
        fail: (error) => {
          throw error;
        },
      });
      const aggregator = {
        unready,
        registry,
        async stop() {
          running.delete(aggregator);
          await lifecycle.close();
        },
      };
      running.add(aggregator);
      return aggregator;
    },
    async dispose() {
      await Promise.all([...running].map((aggregator) => aggregator.stop()));
      await producer.close();
      await clickhouse.close();
    },
  };
}

export interface Counts {
  readonly events: number;
  readonly ids: number;
  readonly by_minute: number;
  readonly by_hour: number;
  readonly by_day: number;
  readonly units: number;
  readonly units_by_day: number;
}

/** Reads the totals of every level at once, without waiting for a merge of ClickHouse. */
export async function counts(clickhouse: ClickHouse): Promise<Counts> {
  const [row] = await clickhouse.query<Counts>(`
    SELECT count() AS events, uniqExact(tenant_id, source, event_id) AS ids, sum(e.units) AS units,
      (SELECT sum(requests) FROM usage_by_minute) AS by_minute,
      (SELECT sum(requests) FROM usage_by_hour) AS by_hour,
      (SELECT sum(requests) FROM usage_by_day) AS by_day,
      (SELECT sum(u.units) FROM usage_by_day AS u) AS units_by_day
    FROM usage_events AS e`);
  return row!;
}

export function allEqual(row: Counts, expected: number): boolean {
  return [row.events, row.ids, row.by_minute, row.by_hour, row.by_day].every((count) => count === expected);
}
