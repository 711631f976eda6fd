import { Gauge } from 'prom-client';
import type { Registry } from 'prom-client';
import { createAdminQueue } from './kafkajs/admin-queue.ts';
import type { AdminQueue } from './kafkajs/admin-queue.ts';
import type { Kafka } from './kafkajs/kafka.ts';

const intervalMsDefault = 15_000;

/** State of one topic in the cluster. */
interface TopicState {
  readonly partitions: number;
  readonly offline: number;
  readonly underReplicated: number;
}

/**
 * Exports the state of the cluster and of Tollgate's topics. It is read at an interval and not at a scrape, so that a
 * Kafka that does not answer delays no scrape.
 */
export function exportClusterMetrics(
  kafka: Kafka,
  topics: readonly string[],
  { registry, intervalMs = intervalMsDefault }: { readonly registry: Registry; readonly intervalMs?: number },
): { close(): Promise<void> } {
  const admin = createAdminQueue(kafka);
  const gauges = clusterGauges(registry);
  /** Partitions of each topic as of the last answer; one before the first. */
  const known = new Map(topics.map((topic) => [topic, 1]));
  let reading: Promise<void> | null = null;
  const timer = setInterval(poll, intervalMs);
  poll();
  return {
    async close() {
      clearInterval(timer);
      admin.close();
      await reading;
    },
  };

  function poll(): void {
    reading ??= read().finally(() => (reading = null));
  }

  async function read(): Promise<void> {
    const brokers = await admin
      .call('reading the brokers', kafka.requestTimeoutMs, (client) => client.describeCluster())
      .then(({ brokers: list }) => list.length)
      .catch(() => 0);
    gauges.brokers.set(brokers);
    for (const topic of topics) {
      const state = brokers === 0 ? null : await stateOf(admin, topic, kafka.requestTimeoutMs);
      if (state !== null) known.set(topic, state.partitions);
      gauges.offline.set({ topic }, state === null ? (known.get(topic) ?? 1) : state.offline);
      if (state !== null) gauges.underReplicated.set({ topic }, state.underReplicated);
    }
  }
}

/** The state of a topic; null if Kafka does not answer, or if kafkajs rejects it because a partition has no leader. */
async function stateOf(admin: AdminQueue, topic: string, timeoutMs: number): Promise<TopicState | null> {
  try {
    const { topics } = await admin.call('reading partitions', timeoutMs, (client) =>
      client.fetchTopicMetadata({ topics: [topic] }),
    );
    const partitions = topics.flatMap((one) => one.partitions);
    return {
      partitions: partitions.length,
      offline: partitions.filter(({ leader }) => leader < 0).length,
      underReplicated: partitions.filter(({ isr, replicas }) => isr.length < replicas.length).length,
    };
  } catch {
    return null;
  }
}

function clusterGauges(registry: Registry) {
  const registers = [registry];
  return {
    brokers: new Gauge({
      name: 'tollgate_kafka_brokers',
      help: 'Brokers of the cluster as of the last answer within 15 seconds; 0 while Kafka does not answer.',
      registers,
    }),
    offline: new Gauge({
      name: 'tollgate_kafka_offline_partitions',
      help: 'Partitions of a topic that cannot be used: all of them while Kafka does not answer or a partition has no leader.',
      labelNames: ['topic'],
      registers,
    }),
    underReplicated: new Gauge({
      name: 'tollgate_kafka_under_replicated_partitions',
      help: 'Partitions of a topic with a replica that is not in sync.',
      labelNames: ['topic'],
      registers,
    }),
  };
}
