import { createHash } from 'node:crypto';
import { Registry } from 'prom-client';
import { expect, onTestFinished, test, vi } from 'vitest';
import type { TenantRecord } from '../../../shared/domain/tenant.ts';
import type { Kafka } from '../../../shared/kafka/kafkajs/kafka.ts';
import { createTenantDirectory } from '../../../shared/kafka/tables/tenant-directory.ts';
import type { TenantDirectory } from '../../../shared/kafka/tables/tenant-directory.ts';
import type { Topics } from '../../../shared/kafka/topics.ts';
import { eventually } from '../../support/servers.ts';
import { kafkaAt, newProducer, newTopics } from './connection.ts';

function recordOf(tenantId: string, more: Partial<TenantRecord> = {}): TenantRecord {
  return { tenant_id: tenantId, updated_at: '2026-11-21T11:00:00.000Z', updated_by: 'test', ...more };
}

function openDirectory(kafka: Kafka, topics: Topics, putTimeoutMs = 60_000): TenantDirectory {
  const directory = createTenantDirectory({ kafka, topics, registry: new Registry(), putTimeoutMs });
  onTestFinished(() => directory.close());
  return directory;
}

const keyHash = (key: string): string => createHash('sha256').update(key).digest('hex');

test('a record is in this directory when put resolves, and in other processes a moment later', async () => {
  const { kafka, topics } = await newTopics();
  const [here, elsewhere] = [openDirectory(kafka, topics), openDirectory(kafka, topics)];
  await eventually(() => here.ready() && elsewhere.ready());
  await here.put(recordOf('acme', { plan: 'pro', api_keys_sha256: [keyHash('tgk_1')] }));
  expect(here.get('acme')?.plan).toBe('pro');
  expect(here.byApiKeyHash(keyHash('tgk_1'))?.record.tenant_id).toBe('acme');
  await eventually(() => elsewhere.byApiKeyHash(keyHash('tgk_1'))?.record.plan === 'pro');
});

test('a directory that opens later has every record when it is ready', async () => {
  const { kafka, topics } = await newTopics();
  const writer = openDirectory(kafka, topics);
  for (let index = 0; index < 30; index += 1) await writer.put(recordOf(`tenant-${index}`, { plan: 'old' }));
  await writer.put(recordOf('tenant-3', { plan: 'new' }));
  await writer.remove('tenant-4');
  const reader = openDirectory(kafka, topics);
  await eventually(() => reader.ready());
  expect(reader.size()).toBe(29);
  expect(reader.get('tenant-3')?.plan).toBe('new');
  expect(reader.get('tenant-4')).toBeUndefined();
});

test('a removed API key identifies no tenant any more', async () => {
  const { kafka, topics } = await newTopics();
  const directory = openDirectory(kafka, topics);
  await directory.put(recordOf('acme', { api_keys_sha256: [keyHash('old'), keyHash('kept')] }));
  await directory.put(recordOf('acme', { api_keys_sha256: [keyHash('kept'), keyHash('new')] }));
  expect(directory.byApiKeyHash(keyHash('old'))).toBeUndefined();
  expect(directory.byApiKeyHash(keyHash('kept'))?.record.tenant_id).toBe('acme');
  await directory.remove('acme');
  expect(directory.byApiKeyHash(keyHash('kept'))).toBeUndefined();
});

test('an invalid record is refused with the names of its fields, and is not written', async () => {
  const { kafka, topics } = await newTopics();
  const directory = openDirectory(kafka, topics);
  const boost = { id: 'b1', limit: 'minute', reason: '', actor: 'ops', starts_at: 'now', ends_at: 'later' };
  const bad = recordOf('acme', { overrides: { minute: -1 }, boosts: [boost], time_zone: 'Mars/Base' });
  await expect(directory.put(bad)).rejects.toMatchObject({ code: 'TENANT_RECORD_INVALID' });
  await expect(directory.put(bad)).rejects.toThrow(/overrides.minute.*boosts.0.starts_at/s);
  expect(directory.get('acme')).toBeUndefined();
});

test('an invalid record on the topic does not replace the record before it', async () => {
  const { kafka, topics } = await newTopics();
  const directory = openDirectory(kafka, topics);
  await directory.put(recordOf('acme', { plan: 'pro' }));
  const producer = newProducer(kafka);
  await producer.send(topics.tenants, [
    { key: 'acme', value: 'not json' },
    { key: 'acme', value: JSON.stringify(recordOf('other')) },
    { key: 'last', value: JSON.stringify(recordOf('last')) },
  ]);
  await eventually(() => directory.get('last'));
  expect(directory.get('acme')?.plan).toBe('pro');
  expect(directory.get('other')).toBeUndefined();
});

test('listeners are called once for every change, and not after they are removed', async () => {
  const { kafka, topics } = await newTopics();
  const directory = openDirectory(kafka, topics);
  const heard = vi.fn<(tenantId: string, record: TenantRecord | null) => void>();
  const stop = directory.onChange(heard);
  await directory.put(recordOf('acme', { plan: 'pro' }));
  await directory.remove('acme');
  await newProducer(kafka).send(topics.tenants, [{ key: 'z', value: JSON.stringify(recordOf('z')) }]);
  await eventually(() => directory.get('z'));
  stop();
  await directory.put(recordOf('later'));
  expect(heard.mock.calls.map(([tenantId, record]) => [tenantId, record?.plan ?? null])).toEqual([
    ['acme', 'pro'],
    ['acme', null],
    ['z', null],
  ]);
});

test('without Kafka the directory opens empty, is not ready, and put rejects in bounded time', async () => {
  const { topics } = await newTopics();
  const directory = openDirectory(kafkaAt('127.0.0.1:1'), topics, 1_000);
  expect(directory.ready()).toBe(false);
  expect(directory.get('acme')).toBeUndefined();
  await expect(directory.put(recordOf('acme'))).rejects.toMatchObject({ code: 'KAFKA_UNAVAILABLE' });
});
