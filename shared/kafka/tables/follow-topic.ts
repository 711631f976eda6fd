import { randomUUID } from 'node:crypto';
import type { Registry } from 'prom-client';
import { TollgateError } from '../../runtime/errors.ts';
import type { Fetched } from '../kafkajs/session/fetched.ts';
import { superviseConsumer } from '../consumer/supervisor.ts';
import { pause } from '../backoff.ts';
import type { Kafka } from '../kafkajs/kafka.ts';
import type { ConsumedMessage } from '../message.ts';
import { restartCounter, tableMetrics } from '../metrics.ts';
import { readTopicEnds } from '../offsets/topic-offsets.ts';
import type { TopicEnd } from '../offsets/topic-offsets.ts';

export interface FollowOptions {
  readonly topic: string;
  /** Name of the reader in metrics. */
  readonly name: string;
  /** Returns false if the record is invalid. The record is then counted and logged, and reading continues. */
  readonly onRecord: (message: ConsumedMessage) => boolean;
  /** Called if the topic was deleted and created again. The topic is then read from its beginning. */
  readonly onRecreated?: () => void;
  readonly registry: Registry;
}

/** Reads all records of a topic in every process, from the first record on. */
export interface FollowedTopic {
  /**
   * True once all records were read that the topic had at the first connection. False again while the topic is read anew, because
   * it was created again: a record that is missing then may exist.
   */
  ready(): boolean;
  /**
   * Resolves once all records were read that the topic has at the time of the call. Rejects with KAFKA_UNAVAILABLE after
   * `timeoutMs`.
   */
  catchUp(timeoutMs?: number): Promise<void>;
  close(): Promise<void>;
}

/** Interval of the checks in `catchUp`. On average, half an interval is added to the duration of `catchUp`. */
const catchUpPollMs = 10;
/** Longest time until a partition that was added to the topic is read, if `catchUp` is not called. */
const metadataMaxAgeMs = 5_000;

/**
 * Starts reading, and continues after outages of Kafka. If Kafka is down at the start, it retries, and `ready()` is
 * false meanwhile.
 */
export function followTopic(kafka: Kafka, options: FollowOptions): FollowedTopic {
  const { topic, name, registry, onRecord } = options;
  /** By partition: the offset after the last record that was read. */
  const positions = new Map<number, number>();
  let assigned: ReadonlySet<number> | null = null;
  let ends: ReadonlyMap<number, number> | null = null;
  let isReady = false;
  const metrics = tableMetrics(registry);
  metrics.ready.set({ table: name }, 0);

  const supervisor = superviseConsumer(
    kafka,
    {
      // kafkajs reads only in consumer groups. This group has one member and commits nothing, so Kafka stores nothing
      // for it.
      groupId: `${kafka.clientId}.${name}.${randomUUID()}`,
      groupLabel: name,
      topics: [topic],
      sessionTimeoutMs: 15_000,
      metadataMaxAgeMs,
      logger: kafka.logger,
      restarts: restartCounter(registry, name),
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
      if (lastOffset >= position) noteInvalid({ partition, offset: firstOffset, lastOffset, reason });
    }
    for (const message of messages) {
      const { offset, key } = message;
      if (offset >= position && !apply(message)) noteInvalid({ partition, offset, key });
    }
    positions.set(partition, Math.max(position, nextOffset));
    noteReady();
  }

  /** If `onRecord` throws for a record, the records after it must still be read. */
  function apply(message: ConsumedMessage): boolean {
    try {
      return onRecord(message);
    } catch (error) {
      kafka.logger.error({ err: error, topic }, 'applying a record failed');
      return false;
    }
  }

  function noteInvalid(record: object): void {
    metrics.unreadable.inc({ table: name });
    kafka.logger.error({ topic, ...record }, 'a record is invalid; the value before it stays');
  }

  /** Reads the ends of the topic before the session starts. The table is ready once it was read up to these ends. */
  async function readEnds(): Promise<void> {
    const current = await readTopicEnds(kafka, topic);
    // A broker that is starting may know the topic and not its partitions yet: nothing would be read, and be complete.
    if (current.length === 0) throw new TollgateError('KAFKA_UNAVAILABLE', `${topic} has no partitions yet`);
    if (current.some(({ partition, high }) => high < (positions.get(partition) ?? 0))) readAgain();
    ends ??= endsToReach(current);
    noteReady();
  }

  async function catchUp(timeoutMs = 10_000): Promise<void> {
    const deadlineMs = performance.now() + timeoutMs;
    const toReach = endsToReach(await readTopicEnds(kafka, topic));
    // kafkajs reads an added partition only after it has joined the group again.
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

  function readAgain(): void {
    kafka.logger.warn({ topic }, 'the topic was created again; it is read from its beginning');
    positions.clear();
    ends = null;
    isReady = false;
    metrics.ready.set({ table: name }, 0);
    options.onRecreated?.();
  }

  function noteReady(): void {
    if (isReady || ends === null) return;
    isReady = hasReached(ends);
    if (isReady) metrics.ready.set({ table: name }, 1);
  }
}

/** A partition without records counts as read to its end, whatever its offsets are. */
function endsToReach(ends: readonly TopicEnd[]): ReadonlyMap<number, number> {
  return new Map(ends.map(({ partition, low, high }) => [partition, high === low ? 0 : high]));
}
