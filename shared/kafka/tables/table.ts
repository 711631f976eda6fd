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
  /** Returns undefined for an invalid value. The value is then counted, and the key keeps its previous value. */
  readonly decode: (value: Buffer, key: string) => Value | undefined;
  /**
   * Returns the version of a value, or of a deletion (null). The value with the highest version counts, whatever its
   * partition. Without this function the last value in the log counts: for keys that never change their partition.
   */
  readonly versionOf?: (value: Value | null, message: ConsumedMessage) => number;
  /** Called for every change, with null for a deletion. Also called while the topic is read for the first time. */
  readonly onChange?: (key: string, value: Value | null, before: Value | null) => void;
  readonly registry: Registry;
}

/**
 * A compacted topic in memory: the newest value of every key. It needs as much memory as the topic after compaction,
 * plus about 150 bytes for each key. During an outage of Kafka it keeps its content; a process that starts during the
 * outage has an empty table.
 */
export interface Table<Value> extends FollowedTopic {
  get(key: string): Value | undefined;
  entries(): ReadonlyMap<string, Value>;
  /** Returns the order of the newest value of the key, or of its deletion; null if the key never had a value. */
  orderOf(key: string): ValueOrder | null;
  /** Applies a value that this process wrote and that Kafka acknowledged, before the value is read from the topic. */
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
    onRecreated: () => content.clear(),
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
    // Keys that are not UTF-8 are ignored, because two different keys could become the same text.
    if (key === null || keyBytes !== undefined) return false;
    const decoded = value === null ? null : decode(value, key);
    if (decoded === undefined) return false;
    content.put(key, decoded, { version: versionOf(decoded, message), partition, offset });
    return true;
  }
}
