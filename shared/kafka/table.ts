import { randomUUID } from 'node:crypto';
import type { Registry } from 'prom-client';
import { TollgateError } from '../runtime/errors.ts';
import type { Fetched } from './consumer-session.ts';
import { superviseConsumer } from './consumer-supervisor.ts';
import { pause } from './deadline.ts';
import type { Kafka } from './kafka.ts';
import type { ConsumedMessage } from './message.ts';
import { consumerMetrics, tableMetrics } from './metrics.ts';
import type { RecordPlace } from './producer.ts';
import { createTableContent } from './table-content.ts';
import { readTopicEnds } from './topic-ends.ts';
import type { TopicEnd } from './topic-ends.ts';

export interface TableOptions<Value> {
  readonly topic: string;
  /** Name of the table in metrics. */
  readonly name: string;
  /** Undefined for a value that cannot be used: it is counted, and the value before stays. */
  readonly decode: (value: Buffer, key: string) => Value | undefined;
  /** Called for every change, null when the key was deleted; also while the topic is read for the first time. */
  readonly onChange?: (key: string, value: Value | null, before: Value | null) => void;
  readonly registry: Registry;
}

/** A compacted topic in memory: the last value of every key. Its size is that of the topic after compaction. */
export interface Table<Value> {
  get(key: string): Value | undefined;
  entries(): ReadonlyMap<string, Value>;
  /** True once everything was read that the topic held when this table first reached it; it stays true. */
  ready(): boolean;
  /**
   * Resolves once everything is here that the topic held at the time of the call, whoever wrote it. Rejects with
   * KAFKA_UNAVAILABLE when that takes longer than `timeoutMs`.
   */
  catchUp(timeoutMs?: number): Promise<void>;
  /** Shows a value that this process wrote and Kafka acknowledged, without waiting for it to come back. */
  applyOwn(key: string, value: Value | null, place: RecordPlace): void;
  close(): Promise<void>;
}

/** How often the way to an end is looked at; half of it is added to a rebalance. */
const catchUpPollMs = 10;

/**
 * Reads the topic to its end and follows it. Lives through Kafka being away, at the start too: it is empty or as last
 * seen, says so by `ready()`, and tries again.
 */
export function readTable<Value>(kafka: Kafka, options: TableOptions<Value>): Table<Value> {
  const { topic, name, registry } = options;
  /** Partition to the offset behind the last record applied. */
  const positions = new Map<number, number>();
  let ends: ReadonlyMap<number, number> | null = null;
  let isReady = false;
  const metrics = tableMetrics(registry);
  const content = createTableContent<Value>({
    decode: options.decode,
    onChange(key, value, before) {
      metrics.keys.set({ table: name }, content.entries().size);
      options.onChange?.(key, value, before);
    },
  });
  metrics.ready.set({ table: name }, 0);

  const supervisor = superviseConsumer(
    kafka,
    {
      // A group of one: kafkajs reads only in groups, and this one commits nothing, so it leaves nothing behind.
      groupId: `${kafka.clientId}.${name}.${randomUUID()}`,
      groupLabel: name,
      topics: [topic],
      sessionTimeoutMs: 15_000,
      logger: kafka.logger,
      restarts: consumerMetrics(registry).restarts,
      partitionBytesMax: 1024 * 1024,
      fetchBytesMax: 10 * 1024 * 1024,
      beforeSession: readEnds,
    },
    {
      onAssigned: () => undefined,
      onRevoked: () => undefined,
      onFetched,
      room: (heartbeat) => heartbeat(),
    },
  );

  return {
    get: (key) => content.get(key),
    entries: () => content.entries(),
    ready: () => isReady,
    catchUp,
    applyOwn: (key, value, { offset }) => content.applyOwn(key, value, offset),
    close: () => supervisor.close(),
  };

  function onFetched({ partition, messages, unreadable, nextOffset }: Fetched): void {
    const position = positions.get(partition) ?? 0;
    for (const { firstOffset, lastOffset, reason } of unreadable) {
      if (lastOffset < position) continue;
      metrics.unreadable.inc({ table: name });
      kafka.logger.error(
        { topic, partition, firstOffset, lastOffset, reason },
        'a batch of a table cannot be decoded',
      );
    }
    for (const message of messages) if (message.offset >= position) take(message);
    positions.set(partition, Math.max(position, nextOffset));
    noteReady();
  }

  function take(message: ConsumedMessage): void {
    if (content.apply(message)) return;
    const { key, offset } = message;
    metrics.unreadable.inc({ table: name });
    kafka.logger.error({ topic, key, offset }, 'a record of a table cannot be used; the value before stays');
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

  /** The topic was deleted and made anew: what is here came from another one. */
  function forget(): void {
    kafka.logger.warn({ topic }, 'the topic of a table was made anew; its content is read again');
    positions.clear();
    content.forget();
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
