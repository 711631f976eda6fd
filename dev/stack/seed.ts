import { setTimeout as wait } from 'node:timers/promises';
import { Registry } from 'prom-client';
import { createClickHouse } from '../../shared/clickhouse/client.ts';
import { migrate } from '../../shared/clickhouse/migrate.ts';
import { ensureTopics } from '../../shared/kafka/ensure-topics.ts';
import { createKafka } from '../../shared/kafka/kafkajs/kafka.ts';
import type { Kafka } from '../../shared/kafka/kafkajs/kafka.ts';
import { createTenantDirectory } from '../../shared/kafka/tables/tenant-directory.ts';
import { topicsWith } from '../../shared/kafka/topics.ts';
import type { Topics } from '../../shared/kafka/topics.ts';
import { createLogger } from '../../shared/runtime/logger.ts';
import { createHistory } from '../sample/history/history.ts';
import { sampleRecord, sampleTenants, withSampleKey } from '../sample/tenants.ts';
import type { Progress } from './progress.ts';
import type { Secrets } from './secrets.ts';

export interface DatabaseOptions {
  readonly connection: {
    readonly url: string;
    readonly database: string;
    readonly username: string;
    readonly password: string;
  };
  /** Whether an empty database is filled with sample calls of the past. */
  readonly history: boolean;
  readonly progress: Progress;
}

export interface KafkaSeedOptions {
  readonly brokers: string;
  readonly topicPrefix: string;
  readonly secrets: Secrets;
  readonly progress: Progress;
}

/**
 * Few partitions, because one machine reads all of them, and each partition adds time to a start and to a rebalance.
 */
const partitions = 6;

/** Creates the topics and the records of the sample tenants. May run repeatedly. */
export async function fillKafka({
  brokers,
  topicPrefix,
  secrets,
  progress,
}: KafkaSeedOptions): Promise<void> {
  const kafka = createKafka({
    brokers,
    clientId: 'tollgate-start',
    logger: createLogger('start', 'error'),
  });
  const topics = topicsWith(topicPrefix);
  await progress.step('Kafka topics', () => ensureTopics(kafka, topics, { partitions }));
  await progress.step('sample tenants', () => publishTenants(kafka, topics, { secrets, progress }));
}

/** Creates the tables and the sample history. May run repeatedly. */
export async function fillDatabase({ connection, history, progress }: DatabaseOptions): Promise<void> {
  const clickhouse = createClickHouse(connection);
  try {
    await progress.step('ClickHouse tables', () => migrate(clickhouse));
    if (!history) return;
    const created = await progress.step('sample history', () => createHistory(clickhouse, Date.now()));
    if (created === null) return;
    const { days, events, seed } = created;
    progress.say(`${events} sample calls of the last ${days} days, seed ${seed}`);
  } finally {
    await clickhouse.close();
  }
}

const directoryTimeoutMs = 30_000;

/**
 * Publishes records for tenants that have none, so that changes by an operator are kept. A record that the sample key
 * does not open gets this key, so that the printed keys always work.
 */
async function publishTenants(
  kafka: Kafka,
  topics: Topics,
  { secrets, progress }: Pick<KafkaSeedOptions, 'secrets' | 'progress'>,
): Promise<void> {
  const directory = createTenantDirectory({ kafka, topics, registry: new Registry() });
  try {
    const deadline = Date.now() + directoryTimeoutMs;
    while (!directory.ready()) {
      if (Date.now() > deadline)
        throw new Error(`${topics.tenants} could not be read within ${directoryTimeoutMs} ms`);
      await wait(25);
    }
    for (const tenant of sampleTenants) {
      const record = directory.get(tenant.tenantId);
      if (record === undefined) {
        await directory.put(sampleRecord(tenant, secrets, new Date()));
        continue;
      }
      const mended = withSampleKey(record, tenant, secrets, new Date());
      if (mended === null) continue;
      await directory.put(mended);
      progress.say(`the record of ${tenant.tenantId} did not have its sample key; the key was added`);
    }
  } finally {
    await directory.close();
  }
}
