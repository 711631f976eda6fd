import { expect, test } from 'vitest';
import { ensureTopics } from '../../../shared/kafka/ensure-topics.ts';
import { topicsWith } from '../../../shared/kafka/topics.ts';
import { servers, uniqueNamespace } from '../../support/servers.ts';
import { kafkaAt } from './connection.ts';

/** Kafka's `ConfigResource.Type.TOPIC`. */
const topicResource = 2;

test('several processes create the topics at once with the documented settings, and a repetition changes nothing', async () => {
  const kafka = kafkaAt(servers().kafkaBrokers);
  const topics = topicsWith(uniqueNamespace().topicPrefix);
  const names = Object.values<string>({ ...topics });
  await Promise.all([1, 2, 3].map(() => ensureTopics(kafka, topics, { partitions: 5 })));
  await ensureTopics(kafka, topics, { partitions: 9 });
  const connection = kafka.open();
  const admin = connection.client.admin();
  await admin.connect();
  const found = await admin.fetchTopicMetadata({ topics: names });
  const partitions = Object.fromEntries(
    found.topics.map(({ name, partitions: list }) => [name, list.length]),
  );
  const configs = await admin.describeConfigs({
    includeSynonyms: false,
    // eslint-disable-next-line @typescript-eslint/no-unsafe-enum-assignment -- its enum is only imported in shared/kafka
    resources: names.map((name) => ({
      type: topicResource,
      name,
      configNames: ['cleanup.policy'],
    })),
  });
  connection.destroy();
  expect(partitions).toEqual({
    [topics.usage]: 5,
    [topics.totals]: 5,
    [topics.tenants]: 1,
    [topics.alerts]: 3,
    [topics.deadLetters]: 3,
    [topics.sessionEnds]: 1,
    [topics.sessions]: 1,
    [topics.audit]: 1,
    [topics.clock]: 1,
    [topics.deliveries]: 3,
  });
  const policies = Object.fromEntries(
    configs.resources.map(({ resourceName, configEntries }) => [resourceName, configEntries[0]?.configValue]),
  );
  expect(policies).toEqual({
    [topics.usage]: 'delete',
    [topics.totals]: 'compact',
    [topics.tenants]: 'compact',
    [topics.alerts]: 'delete',
    [topics.deadLetters]: 'delete',
    [topics.sessionEnds]: 'compact,delete',
    [topics.sessions]: 'compact,delete',
    [topics.audit]: 'delete',
    [topics.clock]: 'delete',
    [topics.deliveries]: 'compact,delete',
  });
});

test('without Kafka it rejects in bounded time', async () => {
  const topics = topicsWith(uniqueNamespace().topicPrefix);
  await expect(ensureTopics(kafkaAt('127.0.0.1:1'), topics, { timeoutMs: 2_000 })).rejects.toThrow();
});
