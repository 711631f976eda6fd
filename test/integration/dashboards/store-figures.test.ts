import { pino } from 'pino';
import { Registry } from 'prom-client';
import { expect, test } from 'vitest';
import { exportDiskSpace } from '../../../services/gateway/spool/disk-space.ts';
import { exportClusterMetrics } from '../../../shared/kafka/cluster-metrics.ts';
import { createAdminQueue } from '../../../shared/kafka/kafkajs/admin-queue.ts';
import { createKafka } from '../../../shared/kafka/kafkajs/kafka.ts';
import { connectRedis } from '../../../shared/redis/client.ts';
import { exportServerMetrics, parseInfo } from '../../../shared/redis/server-metrics.ts';
import { eventually, servers, uniqueName } from '../../support/servers.ts';

const logger = pino({ level: 'silent' });
const intervalMs = 50;

async function valueOf(registry: Registry, series: string): Promise<number> {
  const line = (await registry.metrics()).split('\n').find((one) => one.startsWith(series));
  return Number(line?.split(' ').at(-1) ?? NaN);
}

test('B8: figures of Redis are exported for each server, and are absent while it does not answer', async () => {
  const registry = new Registry();
  const redis = connectRedis(servers().redisUrl, logger);
  const figures = exportServerMetrics(redis, { registry, intervalMs });
  await eventually(async () => (await valueOf(registry, 'tollgate_redis_memory_bytes{')) > 100_000);
  const before = await valueOf(registry, 'tollgate_redis_script_calls_total{');
  await redis.eval('return 1', 0);
  await eventually(async () => (await valueOf(registry, 'tollgate_redis_script_calls_total{')) > before);
  expect(await valueOf(registry, 'tollgate_redis_evicted_keys_total{')).toBe(0);
  redis.disconnect();
  await eventually(async () => Number.isNaN(await valueOf(registry, 'tollgate_redis_memory_bytes{')));
  await figures.close();
});

test('B8: the INFO of Redis is read with all kinds of script calls', () => {
  const info = [
    'used_memory:1048576\r\nmaxmemory:0\r\nevicted_keys:7\r\ntotal_commands_processed:99',
    'cmdstat_eval:calls=2,usec=100,usec_per_call=50.00\r\ncmdstat_evalsha:calls=10,usec=900,usec_per_call=90.00',
  ].join('\r\n');
  expect(parseInfo(info)).toEqual({
    ...{ memoryBytes: 1_048_576, memoryBytesMax: 0, evictedKeys: 7, commands: 99 },
    ...{ scriptCalls: 12, scriptSeconds: 0.001 },
  });
});

test.each([
  ['answers', true, 0, 1],
  ['does not answer', false, 1, 0],
] as const)('B8: a Kafka that %s: offline partitions and brokers', async (_, answers, offline, brokers) => {
  const registry = new Registry();
  const address = answers ? servers().kafkaBrokers : '127.0.0.1:1';
  const kafka = createKafka({ brokers: address, clientId: 'test', logger });
  const topic = uniqueName('figures');
  if (answers) {
    const admin = createAdminQueue(kafka);
    await admin.call('creating a topic', 10_000, (client) => client.createTopics({ topics: [{ topic }] }));
    admin.close();
  }
  const cluster = exportClusterMetrics(kafka, [topic], { registry, intervalMs });
  await eventually(async () => (await valueOf(registry, 'tollgate_kafka_offline_partitions{')) === offline);
  expect(await valueOf(registry, 'tollgate_kafka_brokers ')).toBe(brokers);
  await cluster.close();
});

test('B8: the space of the spool’s disk is exported, and is absent where the folder does not exist', async () => {
  const registry = new Registry();
  const space = exportDiskSpace('/tmp', { registry, intervalMs });
  await eventually(async () => (await valueOf(registry, 'tollgate_spool_disk_free_bytes ')) > 0);
  expect(await valueOf(registry, 'tollgate_spool_disk_bytes ')).toBeGreaterThan(
    await valueOf(registry, 'tollgate_spool_disk_free_bytes '),
  );
  space.close();
  const missing = new Registry();
  exportDiskSpace('/nowhere/at/all', { registry: missing, intervalMs }).close();
  expect(await valueOf(missing, 'tollgate_spool_disk_free_bytes ')).toBeNaN();
});
