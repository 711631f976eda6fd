import { TollgateError } from '../runtime/errors.ts';
import { createAdminQueue } from './kafkajs/admin-queue.ts';
import type { KafkaAdmin } from './kafkajs/admin-queue.ts';
import { pause } from './backoff.ts';
import type { Kafka } from './kafkajs/kafka.ts';
import type { Topics } from './topics.ts';

export interface TopicPlan {
  /** Number of partitions of each topic that carries many events. */
  readonly partitions?: number;
  readonly replicationFactor?: number;
  /** Time for which Kafka keeps events. ClickHouse keeps them longer. */
  readonly retentionMs?: number;
  readonly timeoutMs?: number;
}

const dayMs = 86_400_000;

/**
 * Creates the topics that do not exist; existing topics do not change. Safe to repeat, also in several processes at
 * once. Resolves with the names of the topics that were missing. Rejects when Kafka cannot be reached within
 * `timeoutMs`.
 */
export async function ensureTopics(
  kafka: Kafka,
  topics: Topics,
  plan: TopicPlan = {},
): Promise<readonly string[]> {
  const { partitions = 12, replicationFactor = 1, retentionMs = 7 * dayMs, timeoutMs = 30_000 } = plan;
  const common = [
    // An acknowledged event is on all in-sync replicas. With fewer in-sync replicas than this, Kafka refuses writes.
    { name: 'min.insync.replicas', value: String(Math.max(1, replicationFactor - 1)) },
    // Keeps the codec of the producer. All consumers can read every codec, so the broker need not compress again with
    // its default codec.
    { name: 'compression.type', value: 'producer' },
  ];
  const log = [...common, { name: 'retention.ms', value: String(retentionMs) }];
  const compacted = [
    ...common,
    { name: 'cleanup.policy', value: 'compact' },
    // Lets Kafka compact early, so that a starting process has little to read.
    { name: 'min.cleanable.dirty.ratio', value: '0.1' },
    { name: 'segment.ms', value: String(dayMs / 24) },
  ];
  // Each record contains the entry of its change, so records stay for a week for an aggregator that was down.
  const audited = [...compacted, { name: 'min.compaction.lag.ms', value: String(7 * dayMs) }];
  const durable = [...common, { name: 'retention.ms', value: String(90 * dayMs) }];
  const compactedAndDeleted = [
    ...compacted.filter(({ name }) => name !== 'cleanup.policy'),
    { name: 'cleanup.policy', value: 'compact,delete' },
    { name: 'retention.ms', value: String(90 * dayMs) },
  ];
  // The broker's time is read from the acknowledgement of a write; the records of this topic are never read.
  const brokerTimestamps = [
    ...common,
    { name: 'message.timestamp.type', value: 'LogAppendTime' },
    { name: 'retention.ms', value: String(dayMs / 24) },
    { name: 'segment.ms', value: String(dayMs / 24) },
  ];
  const topic = (name: string, numPartitions: number, configEntries: typeof log) => ({
    topic: name,
    numPartitions,
    replicationFactor,
    configEntries,
  });
  const admin = createAdminQueue(kafka);
  try {
    const existing = new Set(await admin.call('listing topics', timeoutMs, (client) => client.listTopics()));
    const wanted = [
      topic(topics.usage, partitions, log),
      topic(topics.totals, partitions, compacted),
      topic(topics.tenants, 1, audited),
      topic(topics.alerts, Math.min(3, partitions), durable),
      topic(topics.deliveries, Math.min(3, partitions), compactedAndDeleted),
      topic(topics.sessionEnds, 1, compactedAndDeleted),
      topic(topics.sessions, 1, compactedAndDeleted),
      topic(topics.audit, 1, durable),
      topic(topics.clock, 1, brokerTimestamps),
      topic(topics.deadLetters, Math.min(3, partitions), durable),
    ].filter(({ topic: name }) => !existing.has(name));
    if (wanted.length > 0) {
      await admin.call('counting brokers', timeoutMs, (client) => requireBrokers(client, replicationFactor));
      const create = { topics: wanted, waitForLeaders: false };
      await admin.call('creating topics', timeoutMs, (client) => client.createTopics(create));
    }
    const names = Object.values<string>({ ...topics });
    await admin.call('waiting for leaders', timeoutMs, (client) => leadersOf(client, names, timeoutMs));
    return wanted.map(({ topic: name }) => name);
  } finally {
    admin.close();
  }
}

/**
 * Checks the number of brokers. Without this check Kafka would refuse every topic, and the error of kafkajs would not
 * name the reason.
 */
async function requireBrokers(client: KafkaAdmin, replicationFactor: number): Promise<void> {
  const { brokers } = await client.describeCluster();
  if (brokers.length >= replicationFactor) return;
  throw new TollgateError(
    'CONFIG_INVALID',
    `A replication factor of ${replicationFactor} needs ${replicationFactor} brokers; Kafka has ${brokers.length}.`,
  );
}

const leaderPollMs = 50;

/**
 * Resolves when every partition has a leader and accepts records. This may take a moment, also for a topic that another
 * process has just created.
 */
async function leadersOf(client: KafkaAdmin, topics: string[], timeoutMs: number): Promise<void> {
  const deadlineMs = performance.now() + timeoutMs;
  while (performance.now() < deadlineMs) {
    const metadata = await client.fetchTopicMetadata({ topics }).catch(() => null);
    if (metadata?.topics.every(({ partitions }) => partitions.every(({ leader }) => leader >= 0)) === true)
      return;
    await pause(leaderPollMs);
  }
  throw new TollgateError('KAFKA_UNAVAILABLE', `no leaders for ${topics.join(', ')} after ${timeoutMs} ms`);
}
