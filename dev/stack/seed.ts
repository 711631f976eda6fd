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
import { sampleRecord, sampleTenants } from '../sample/tenants.ts';
import type { Progress } from './progress.ts';
import type { Secrets } from './secrets.ts';

export interface SeedOptions {
  readonly clickhouse: {
    readonly url: string;
    readonly database: string;
    readonly username: string;
    readonly password: string;
  };
  readonly kafkaBrokers: string;
  readonly topicPrefix: string;
  readonly secrets: Secrets;
  readonly progress: Progress;
}

/**
 * Few partitions, because one machine reads all of them, and each partition adds time to a start and to a rebalance.
 */
const partitions = 6;

/** Creates the tables, the topics and the records of the sample tenants. May run repeatedly. */
export async function seed(options: SeedOptions): Promise<void> {
  const kafka = createKafka({
    brokers: options.kafkaBrokers,
    clientId: 'tollgate-start',
    logger: createLogger('start', 'error'),
  });
  const topics = topicsWith(options.topicPrefix);
  const { progress } = options;
  await Promise.all([
    progress.step('ClickHouse tables', () => migrateDatabase(options.clickhouse)),
    progress.step('Kafka topics', () => ensureTopics(kafka, topics, { partitions })),
  ]);
  await progress.step('sample tenants', () => publishTenants(kafka, topics, options.secrets));
}

async function migrateDatabase(connection: SeedOptions['clickhouse']): Promise<void> {
  const clickhouse = createClickHouse(connection);
  try {
    await migrate(clickhouse);
  } finally {
    await clickhouse.close();
  }
}

const directoryTimeoutMs = 30_000;

/** Publishes records only for tenants that have none, so that changes by an operator are kept. */
async function publishTenants(kafka: Kafka, topics: Topics, secrets: Secrets): Promise<void> {
  const directory = createTenantDirectory({ kafka, topics, registry: new Registry() });
  try {
    const deadline = Date.now() + directoryTimeoutMs;
    while (!directory.ready()) {
      if (Date.now() > deadline)
        throw new Error(`${topics.tenants} could not be read within ${directoryTimeoutMs} ms`);
      await wait(25);
    }
    for (const tenant of sampleTenants) {
      if (directory.get(tenant.tenantId) !== undefined) continue;
      await directory.put(sampleRecord(tenant, secrets, new Date()));
    }
  } finally {
    await directory.close();
  }
}
