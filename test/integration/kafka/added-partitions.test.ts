// Goal: adding partitions to a topic in use loses nothing: every edit takes effect in every process, and every event is
// counted.
import { Registry } from 'prom-client';
import { expect, onTestFinished, test } from 'vitest';
import { storeTenantRecords } from '../../../services/aggregator/tenant-records.ts';
import type { TenantRecord } from '../../../shared/domain/tenant.ts';
import type { Kafka } from '../../../shared/kafka/kafkajs/kafka.ts';
import { createTenantDirectory } from '../../../shared/kafka/tables/tenant-directory.ts';
import type { TenantDirectory } from '../../../shared/kafka/tables/tenant-directory.ts';
import type { Topics } from '../../../shared/kafka/topics.ts';
import { eventually, uniqueName } from '../../support/servers.ts';
import { freshDatabase } from '../reconciler/database.ts';
import { newConsumer, newProducer, newTopics, numbered, textsOf } from './connection.ts';

const tenants = Array.from({ length: 12 }, (_, index) => `tenant-${index}`);

function recordOf(tenantId: string, plan: string): TenantRecord {
  return { tenant_id: tenantId, plan, updated_at: new Date().toISOString(), updated_by: 'test' };
}

function openDirectory(kafka: Kafka, topics: Topics): TenantDirectory {
  const directory = createTenantDirectory({ kafka, topics, registry: new Registry() });
  onTestFinished(() => directory.close());
  return directory;
}

async function addPartitions(kafka: Kafka, topic: string, count: number): Promise<void> {
  const connection = kafka.open();
  const admin = connection.client.admin();
  await admin.connect();
  await admin.createPartitions({ topicPartitions: [{ topic, count }] });
  // The broker lists new partitions a moment before it serves them.
  await eventually(async () => {
    const { topics } = await admin.fetchTopicMetadata({ topics: [topic] });
    const served = topics[0]?.partitions.filter(({ leader }) => leader >= 0) ?? [];
    return served.length === count && (await admin.fetchTopicOffsets(topic)).length === count;
  });
  connection.destroy();
}

function plansOf(directory: TenantDirectory): (string | undefined)[] {
  return tenants.map((tenant) => directory.get(tenant)?.plan);
}

const all = (plan: string): string[] => tenants.map(() => plan);

test('to the tenants topic: twelve later edits have effect in every process, also in one that starts later', async () => {
  const { kafka, topics } = await newTopics();
  const [first, second] = [openDirectory(kafka, topics), openDirectory(kafka, topics)];
  // Several records for each tenant, so that offsets in the old partition stay higher than offsets in the new
  // partitions.
  for (const plan of ['free', 'free', 'pro']) {
    for (const tenant of tenants) await first.put(recordOf(tenant, plan));
  }
  await addPartitions(kafka, topics.tenants, 6);
  const console = openDirectory(kafka, topics);
  await eventually(() => console.ready());
  for (const tenant of tenants) await console.put(recordOf(tenant, 'enterprise'));
  expect(plansOf(console)).toEqual(all('enterprise'));
  const later = openDirectory(kafka, topics);
  await eventually(() => later.ready());
  expect(plansOf(later)).toEqual(all('enterprise'));
  for (const directory of [first, second]) {
    await directory.catchUp();
    expect(plansOf(directory)).toEqual(all('enterprise'));
  }
});

test('to the tenants topic: a process that never calls catchUp has the edits within seconds', async () => {
  const { kafka, topics } = await newTopics();
  const [writer, follower] = [openDirectory(kafka, topics), openDirectory(kafka, topics)];
  for (const tenant of tenants) await writer.put(recordOf(tenant, 'pro'));
  await eventually(() => follower.size() === tenants.length);
  await addPartitions(kafka, topics.tenants, 3);
  const console = openDirectory(kafka, topics);
  await eventually(() => console.ready());
  for (const tenant of tenants) await console.put(recordOf(tenant, 'enterprise'));
  await eventually(() => plansOf(follower).every((plan) => plan === 'enterprise'));
});

test('a tenant deleted afterwards stays deleted, with older records in the former partition of its key', async () => {
  const { kafka, topics } = await newTopics();
  const writer = openDirectory(kafka, topics);
  for (const tenant of tenants) await writer.put(recordOf(tenant, 'pro'));
  await addPartitions(kafka, topics.tenants, 6);
  const console = openDirectory(kafka, topics);
  await eventually(() => console.ready());
  for (const tenant of tenants) await console.remove(tenant);
  const later = openDirectory(kafka, topics);
  await eventually(() => later.ready());
  expect([console.size(), later.size()]).toEqual([0, 0]);
  // The removed tenant can be created again.
  await console.put(recordOf('tenant-3', 'free'));
  await later.catchUp();
  expect(later.get('tenant-3')?.plan).toBe('free');
});

test('ClickHouse has the records of the highest version, in any order of arrival', async () => {
  const { kafka, topics } = await newTopics();
  const clickhouse = await freshDatabase();
  onTestFinished(async () => {
    await clickhouse.command(`DROP DATABASE ${clickhouse.options.database}`);
    await clickhouse.close();
  });
  const writer = openDirectory(kafka, topics);
  for (const tenant of tenants) await writer.put(recordOf(tenant, 'pro'));
  await addPartitions(kafka, topics.tenants, 6);
  const console = openDirectory(kafka, topics);
  await eventually(() => console.ready());
  for (const tenant of tenants.slice(0, 11)) await console.put(recordOf(tenant, 'enterprise'));
  await console.remove('tenant-11');
  const consumer = newConsumer(kafka, { topic: topics.tenants, groupId: uniqueName('group') });
  // The removal writes a tombstone to each of the six partitions.
  await eventually(() => consumer.seen.length === 12 + 11 + 6);
  // Older versions wrote a Kafka offset to the column `kafka_offset`.
  await clickhouse.insert('stored_tenants', [
    { tenant_id: 'tenant-0', plan: 'free', updated_at: 0, kafka_offset: 1_000_000 },
  ]);
  for (const messages of [consumer.seen, consumer.seen.toReversed()]) {
    expect(await storeTenantRecords(clickhouse, messages)).toEqual([]);
    const rows = await clickhouse.query<{ tenant_id: string; plan: string }>(
      'SELECT tenant_id, plan FROM tenants ORDER BY tenant_id',
    );
    expect(rows).toEqual(
      tenants
        .slice(0, 11)
        .map((tenant_id) => ({ tenant_id, plan: 'enterprise' }))
        .toSorted((a, b) => (a.tenant_id < b.tenant_id ? -1 : 1)),
    );
  }
});

test('when two consoles edit at the same time, all processes end with the same record, also with different clocks', async () => {
  const { kafka, topics } = await newTopics();
  const ahead = { now: () => Date.now() + 3_600_000 };
  const consoles = [ahead, undefined].map((clock) => {
    const directory = createTenantDirectory({
      kafka,
      topics,
      registry: new Registry(),
      ...(clock === undefined ? {} : { clock }),
    });
    onTestFinished(() => directory.close());
    return directory;
  });
  await eventually(() => consoles.every((directory) => directory.ready()));
  await Promise.all(
    consoles.flatMap((directory, index) =>
      tenants.map((tenant) => directory.put(recordOf(tenant, `plan-${index}`))),
    ),
  );
  const reader = openDirectory(kafka, topics);
  await eventually(() => reader.ready());
  await Promise.all(consoles.map((directory) => directory.catchUp()));
  for (const directory of consoles) expect(plansOf(directory)).toEqual(plansOf(reader));
  // The next edit takes effect, no matter which console's clock was ahead.
  for (const tenant of tenants) await consoles[1]?.put(recordOf(tenant, 'next'));
  await Promise.all([reader, ...consoles].map((directory) => directory.catchUp()));
  for (const directory of [reader, ...consoles]) expect(plansOf(directory)).toEqual(all('next'));
});

test('records of an older release, without versions, are read and edited', async () => {
  const { kafka, topics } = await newTopics();
  const producer = newProducer(kafka);
  const old = (plan: string, updatedAt: string) => ({
    key: 'acme',
    value: JSON.stringify({ ...recordOf('acme', plan), updated_at: updatedAt }),
  });
  await producer.send(topics.tenants, [
    old('first', '2026-01-01T00:00:00Z'),
    old('second', '2026-01-02T00:00:00Z'),
    old('third', '2026-01-02T00:00:00Z'),
  ]);
  const directory = openDirectory(kafka, topics);
  await eventually(() => directory.ready());
  expect(directory.get('acme')?.plan).toBe('third');
  const stored = await directory.put(recordOf('acme', 'fourth'));
  expect(stored.version).toBeGreaterThan(Date.parse('2026-01-02T00:00:00Z'));
  await producer.send(topics.tenants, [{ key: 'acme', value: null }]);
  await eventually(() => directory.get('acme') === undefined);
});

test('to the usage topic: a consumer reads the new partitions too', async () => {
  const { kafka, topics } = await newTopics(1);
  const consumer = newConsumer(kafka, { topic: topics.usage, groupId: uniqueName('group') });
  await newProducer(kafka).send(topics.usage, [{ key: 'a', value: 'before' }]);
  await eventually(() => consumer.seen.length === 1);
  await addPartitions(kafka, topics.usage, 5);
  const values = numbered('event', 40);
  await newProducer(kafka).send(
    topics.usage,
    values.map((value) => ({ key: value, value })),
  );
  await eventually(() => consumer.seen.length === 41, { timeoutMs: 40_000 });
  expect(textsOf(consumer.seen)).toEqual(['before', ...values].toSorted());
});
