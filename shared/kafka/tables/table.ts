import type { Registry } from 'prom-client';
import { followTopic } from './follow-topic.ts';
import type { FollowedTopic } from './follow-topic.ts';
import type { Kafka } from '../kafkajs/kafka.ts';
import type { ConsumedMessage } from '../message.ts';
import { tableMetrics } from '../metrics.ts';
import { createTableContent } from './table-content.ts';
import type { ValueOrder } from './table-content.ts';

export interface TableOptions<Value> {
  readonly topic: string;
  /** Name of the table in metrics. */
  readonly name: string;
  /** Undefined for a value that cannot be used: it is counted, and the value before stays. */
  readonly decode: (value: Buffer, key: string) => Value | undefined;
  /**
   * Version of a value, or of a deletion: of a key's values the one with the highest stands, whichever partition it is
   * in. Absent: the one that is last in the log, for keys that stay in their partition.
   */
  readonly versionOf?: (value: Value | null, message: ConsumedMessage) => number;
  /** Called for every change, null when the key was deleted; also while the topic is read for the first time. */
  readonly onChange?: (key: string, value: Value | null, before: Value | null) => void;
  readonly registry: Registry;
}

/**
 * A compacted topic in memory: the newest value of every key. Its size is that of the topic after compaction, and about
 * 150 bytes a key. Empty or as last seen while Kafka is away.
 */
export interface Table<Value> extends FollowedTopic {
  get(key: string): Value | undefined;
  entries(): ReadonlyMap<string, Value>;
  /** The order of the key's newest value, or of its deletion; null where nothing is known of it. */
  orderOf(key: string): ValueOrder | null;
  /** Shows a value that this process wrote and Kafka acknowledged, without waiting for it to come back. */
  applyOwn(key: string, value: Value | null, order: ValueOrder): void;
}

export function readTable<Value>(kafka: Kafka, options: TableOptions<Value>): Table<Value> {
  const { topic, name, registry, decode, versionOf = () => 0 } = options;
  const metrics = tableMetrics(registry);
  const content = createTableContent<Value>((key, value, before) => {
    metrics.keys.set({ table: name }, content.entries().size);
    options.onChange?.(key, value, before);
  });
  const followed = followTopic(kafka, {
    topic,
    name,
    onRecord,
    onForgotten: () => content.forget(),
    registry,
  });
  return {
    ...followed,
    get: (key) => content.get(key),
    entries: () => content.entries(),
    orderOf: (key) => content.orderOf(key),
    applyOwn: (key, value, order) => content.put(key, value, order),
  };

  function onRecord(message: ConsumedMessage): boolean {
    const { key, keyBytes, value, partition, offset } = message;
    // Bytes that are no text name no key: two of them would be taken for one.
    if (key === null || keyBytes !== undefined) return false;
    const decoded = value === null ? null : decode(value, key);
    if (decoded === undefined) return false;
    content.put(key, decoded, { version: versionOf(decoded, message), partition, offset });
    return true;
  }
}
