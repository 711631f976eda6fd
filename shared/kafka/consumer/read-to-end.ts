import { partitionKey } from '../kafkajs/session/fetched.ts';
import type { ConsumerBlock } from './buffer.ts';
import type { HeldRecords } from './stages.ts';

/** The end of a partition: the offset after its last record. */
export interface PartitionEnd {
  readonly topic: string;
  readonly partition: number;
  readonly end: number;
}

/** Detects when all records that a partition had at some time are handed over to the first stage. */
export interface ReadToEnd {
  /** Notes the ends of partitions at a time, in monotonic milliseconds. */
  noteEnds(ends: readonly PartitionEnd[], atMs: number): void;
  /** Notes that the first stage handles this block next. */
  noteBegun(block: ConsumerBlock): void;
  /** Forgets all offsets, because partitions were assigned again. */
  clear(): void;
}

export function createReadToEnd(held: HeldRecords | undefined): ReadToEnd {
  const begun = new Map<string, number>();
  let ends: readonly PartitionEnd[] = [];
  let endsAtMs = 0;
  return {
    noteEnds(newEnds, atMs) {
      ends = newEnds;
      endsAtMs = atMs;
      report();
    },
    noteBegun({ offsets }) {
      for (const { topic, partition, offset } of offsets) begun.set(partitionKey(topic, partition), offset);
      report();
    },
    clear() {
      begun.clear();
      ends = [];
    },
  };

  function report(): void {
    for (const { topic, partition, end } of ends) {
      const offset = begun.get(partitionKey(topic, partition)) ?? -1;
      if (offset >= end) held?.noteReadToEnd(topic, partition, endsAtMs);
    }
  }
}
