import { randomUUID } from 'node:crypto';
import type { Registry } from 'prom-client';
import { TollgateError } from '../../runtime/errors.ts';
import type { Fetched } from '../kafkajs/session/fetched.ts';
import { superviseConsumer } from '../consumer/supervisor.ts';
import { pause } from '../backoff.ts';
import type { Kafka } from '../kafkajs/kafka.ts';
import type { ConsumedMessage } from '../message.ts';
import { consumerMetrics, tableMetrics } from '../metrics.ts';
import { readTopicEnds } from '../offsets/topic-offsets.ts';
import type { TopicEnd } from '../offsets/topic-offsets.ts';

export interface FollowOptions {
  readonly topic: string;
  /** Name of the reader in metrics. */
  readonly name: string;
  /** Takes a record; false for one that cannot be used: it is counted and logged, and reading goes on. */
  readonly onRecord: (message: ConsumedMessage) => boolean;
  /** The topic was deleted and made anew: what was read came from another one, and reading begins again. */
  readonly onForgotten?: () => void;
  readonly registry: Registry;
}

/** A topic that is read to its end by every process that follows it, and then followed. */
export interface FollowedTopic {
  /** True once everything was read that the topic held when it was first reached; it stays true. */
  ready(): boolean;
  /**
   * Resolves once everything was read that the topic held at the time of the call, whoever wrote it. Rejects with
   * KAFKA_UNAVAILABLE when that takes longer than `timeoutMs`.
   */
  catchUp(timeoutMs?: number): Promise<void>;
  close(): Promise<void>;
}

/** How often the way to an end is looked at; half of it is added to a rebalance. */
const catchUpPollMs = 10;
/** So soon a partition that was added is read, where no `catchUp` asks for it. */
const metadataMaxAgeMs = 5_000;

/** Lives through Kafka being away, at the start too: it says so by `ready()`, and tries again. */
export function followTopic(kafka: Kafka, options: FollowOptions): FollowedTopic {
  const { topic, name, registry, onRecord } = options;
  /** Partition to the offset behind the last record taken. */
  const positions = new Map<number, number>();
  let assigned: ReadonlySet<number> | null = null;
  let ends: ReadonlyMap<number, number> | null = null;
  let isReady = false;
  const metrics = tableMetrics(registry);
  metrics.ready.set({ table: name }, 0);

  const supervisor = superviseConsumer(
    kafka,
    {
      // A group of one: kafkajs reads only in groups, and this one commits nothing, so it leaves nothing behind.
      groupId: `${kafka.clientId}.${name}.${randomUUID()}`,
      groupLabel: name,
      topics: [topic],
      sessionTimeoutMs: 15_000,
      metadataMaxAgeMs,
      logger: kafka.logger,
      restarts: consumerMetrics(registry).restarts,
      partitionBytesMax: 1024 * 1024,
      fetchBytesMax: 10 * 1024 * 1024,
      beforeSession: readEnds,
    },
    {
      onAssigned: (partitions) => (assigned = new Set(partitions.get(topic))),
      onRevoked: () => (assigned = null),
      onFetched,
      waitForRoom: (heartbeat) => heartbeat(),
    },
  );

  return { ready: () => isReady, catchUp, close: () => supervisor.close() };

  function onFetched({ partition, messages, unreadable, nextOffset }: Fetched): void {
    const position = positions.get(partition) ?? 0;
    for (const { firstOffset, lastOffset, reason } of unreadable) {
      if (lastOffset >= position) noteUnusable({ partition, offset: firstOffset, lastOffset, reason });
    }
    for (const message of messages) {
      const { offset, key } = message;
      if (offset >= position && !isUsed(message)) noteUnusable({ partition, offset, key });
    }
    positions.set(partition, Math.max(position, nextOffset));
    noteReady();
  }

  /** One record that its reader cannot bear must not end the reading of all that follow. */
  function isUsed(message: ConsumedMessage): boolean {
    try {
      return onRecord(message);
    } catch (error) {
      kafka.logger.error({ err: error, topic }, 'taking a record failed');
      return false;
    }
  }

  function noteUnusable(record: object): void {
    metrics.unreadable.inc({ table: name });
    kafka.logger.error({ topic, ...record }, 'a record cannot be used; what was known before stays');
  }

  /** Where the topic ends now, asked before reading: whoever has read that far has seen all there was. */
  async function readEnds(): Promise<void> {
    const now = await readTopicEnds(kafka, topic);
    if (now.some(({ partition, high }) => high < (positions.get(partition) ?? 0))) forget();
    ends ??= endsToReach(now);
    noteReady();
  }

  async function catchUp(timeoutMs = 10_000): Promise<void> {
    const deadlineMs = performance.now() + timeoutMs;
    const toReach = endsToReach(await readTopicEnds(kafka, topic));
    // Joining again is how kafkajs comes to read a partition that was added.
    const isNew = (partition: number): boolean => assigned?.has(partition) === false;
    if ([...toReach].some(([partition, end]) => end > 0 && isNew(partition))) supervisor.restart();
    while (!hasReached(toReach)) {
      if (performance.now() > deadlineMs) {
        throw new TollgateError(
          'KAFKA_UNAVAILABLE',
          `${topic} was not read to its end within ${timeoutMs} ms`,
        );
      }
      await pause(catchUpPollMs);
    }
  }

  function hasReached(toReach: ReadonlyMap<number, number>): boolean {
    return [...toReach].every(([partition, end]) => (positions.get(partition) ?? 0) >= end);
  }

  function forget(): void {
    kafka.logger.warn({ topic }, 'the topic was made anew; its content is read again');
    positions.clear();
    options.onForgotten?.();
  }

  function noteReady(): void {
    if (isReady || ends === null) return;
    isReady = hasReached(ends);
    if (isReady) metrics.ready.set({ table: name }, 1);
  }
}

/** A partition without records has its end reached, whatever its offsets say. */
function endsToReach(ends: readonly TopicEnd[]): ReadonlyMap<number, number> {
  return new Map(ends.map(({ partition, low, high }) => [partition, high === low ? 0 : high]));
}
