// Goal: events are counted, whichever codec a Kafka client compresses them with. Method: a real aggregator consumes
// events that were compressed by librdkafka (confluent-kafka and kcat) or by the encoders of Kafka's Java client, which
// the broker uses for topics with a compression.type.
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { afterEach, expect, test } from 'vitest';
import { needProgram } from '../../dev/packages.ts';
import { listDeadLetters } from '../../shared/kafka/dead-letters/dead-letters.ts';
import { createFixture } from '../integration/aggregator/fixture.ts';
import type { Fixture } from '../integration/aggregator/fixture.ts';
import { meterEvent, requestEvent } from '../integration/aggregator/events.ts';
import { eventually, servers } from '../support/servers.ts';
import { produceExternally } from './external-producer.ts';

const codecs = ['gzip', 'snappy', 'lz4', 'zstd'];
const eventsPerCodec = 50;
/** The value of Kafka's ConfigResource.Type for topics. */
const topicResource = 2;

let fixture: Fixture;
afterEach(() => fixture.dispose());

function eventsOf(tenant: string): { readonly key: string; readonly value: string }[] {
  return Array.from({ length: eventsPerCodec }, () => ({
    key: tenant,
    value: JSON.stringify(meterEvent(tenant)),
  }));
}

async function untilCounted(expected: Readonly<Record<string, number>>): Promise<void> {
  await eventually(async () => {
    const rows = await fixture.clickhouse.query<{ tenant_id: string; events: number }>(
      'SELECT toString(tenant_id) AS tenant_id, count() AS events FROM usage_events GROUP BY tenant_id',
    );
    expect(Object.fromEntries(rows.map(({ tenant_id, events }) => [tenant_id, events]))).toEqual(expected);
    return true;
  });
}

test('events that librdkafka compressed with any codec are counted', async () => {
  fixture = await createFixture();
  fixture.start();
  await produceExternally(
    servers().kafkaBrokers,
    codecs.map((codec) => ({
      config: { 'compression.type': codec },
      records: eventsOf(codec).map((record) => ({ topic: fixture.topics.usage, partition: 0, ...record })),
    })),
  );
  await fixture.produce([{ tenant: 'after', value: requestEvent('after') }]);
  await untilCounted({ ...Object.fromEntries(codecs.map((codec) => [codec, eventsPerCodec])), after: 1 });
});

test('events that kcat compressed are counted', async () => {
  fixture = await createFixture();
  fixture.start();
  const kcat = await needProgram('kcat', () => undefined);
  for (const codec of codecs) {
    const args = ['-P', '-b', servers().kafkaBrokers, '-t', fixture.topics.usage, '-z', codec, '-K', '\t'];
    const running = promisify(execFile)(kcat, args);
    running.child.stdin?.end(
      eventsOf(codec)
        .map(({ key, value }) => `${key}\t${value}\n`)
        .join(''),
    );
    await running;
  }
  await untilCounted(Object.fromEntries(codecs.map((codec) => [codec, eventsPerCodec])));
});

test('events that Kafka itself compressed, with the encoders of its Java client, are counted', async () => {
  fixture = await createFixture();
  fixture.start();
  const connection = fixture.kafka.open();
  const admin = connection.client.admin();
  await admin.connect();
  for (const codec of codecs) {
    await admin.alterConfigs({
      validateOnly: false,
      resources: [
        {
          // eslint-disable-next-line @typescript-eslint/no-unsafe-enum-assignment -- its enum is only imported in shared/kafka
          type: topicResource,
          name: fixture.topics.usage,
          configEntries: [{ name: 'compression.type', value: codec }],
        },
      ],
    });
    await fixture.produce(eventsOf(codec).map(({ key, value }) => ({ tenant: key, value })));
  }
  connection.destroy();
  await untilCounted(Object.fromEntries(codecs.map((codec) => [codec, eventsPerCodec])));
});

test('a batch that decompresses to more than the bound is a dead letter, and batches before and after it are counted', async () => {
  fixture = await createFixture();
  fixture.start();
  const topic = fixture.topics.usage;
  const event = (tenant: string) => ({
    records: [{ topic, partition: 0, key: tenant, value: JSON.stringify(meterEvent(tenant)) }],
  });
  const bomb = (codec: string) => ({
    config: { 'compression.type': codec },
    records: [{ topic, partition: 0, key: 'bomb', value: 40_000_000 }],
  });
  // Snappy is not in the list: its compression ratio is so low that no batch that the broker accepts exceeds the bound
  // of decompressed bytes.
  const bombs = ['gzip', 'lz4', 'zstd'];
  await produceExternally(servers().kafkaBrokers, [event('before'), ...bombs.map(bomb), event('after')]);
  await untilCounted({ before: 1, after: 1 });
  const deadLetters = await listDeadLetters(fixture.kafka, fixture.topics.deadLetters, { limit: 10 });
  const reasons = deadLetters.map(({ reason, holds, offset }) => [offset, holds, reason.split(': ')[1]]);
  expect(reasons.toSorted()).toEqual(bombs.map((codec, index) => [index + 1, 'batch', codec]));
});
