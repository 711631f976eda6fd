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
  /** Offset of the next fetch: behind the last record, and behind offsets that compaction has emptied. */
  readonly nextOffset: number;
  /** Offset to commit once these records and all before them are handled: `nextOffset`, or the start of an open transaction. */
  readonly commitOffset: number;
}

export interface SessionHandlers {
  /** Partitions by topic. They replace the partitions of the assignment before. */
  readonly onAssigned: (assignment: ReadonlyMap<string, readonly number[]>) => void;
  /** This member has no partition until the next `onAssigned`. */
  readonly onRevoked: () => void;
  readonly onFetched: (fetched: Fetched) => void;
  /**
   * Resolves when the consumer may fetch more. Must call `heartbeat` while it waits and must not catch its errors: they are
   * how kafkajs reports a rebalance.
   */
  readonly waitForRoom: (heartbeat: () => Promise<void>) => Promise<void>;
}

/** Key of a partition in a map. */
export function partitionKey(topic: string, partition: number): string {
  return `${partition} ${topic}`;
}
