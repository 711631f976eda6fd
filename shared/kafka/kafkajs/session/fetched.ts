import type { ConsumedMessage } from '../../message.ts';
import type { UnreadableEntry } from '../decoding/log-entry.ts';

export interface TopicPartitionOffset {
  readonly topic: string;
  readonly partition: number;
  readonly offset: number;
}

/** The records of one partition in one fetch. */
export interface Fetched {
  readonly topic: string;
  readonly partition: number;
  readonly messages: readonly ConsumedMessage[];
  /** Batches that cannot be decoded. */
  readonly unreadable: readonly UnreadableEntry[];
  /** Offset of the next fetch: after the last record, and after offsets that compaction has emptied. */
  readonly nextOffset: number;
  /**
   * Offset to commit once these records and all records before them are handled: `nextOffset`, or the first offset of
   * an open transaction.
   */
  readonly commitOffset: number;
}

export interface SessionHandlers {
  /** Called with the assigned partitions, by topic. They replace the partitions of the previous assignment. */
  readonly onAssigned: (assignment: ReadonlyMap<string, readonly number[]>) => void;
  /** Called when this member loses its partitions; it has none until the next `onAssigned`. */
  readonly onRevoked: () => void;
  readonly onFetched: (fetched: Fetched) => void;
  /**
   * Resolves when the consumer may fetch more. While it waits, it must call `heartbeat` and must not catch the errors
   * of `heartbeat`: kafkajs reports a rebalance by these errors.
   */
  readonly waitForRoom: (heartbeat: () => Promise<void>) => Promise<void>;
}

/** Key of a partition in a map. */
export function partitionKey(topic: string, partition: number): string {
  return `${partition} ${topic}`;
}
