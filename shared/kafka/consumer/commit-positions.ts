import { partitionKey } from '../kafkajs/session/fetched.ts';
import type { TopicPartitionOffset } from '../kafkajs/session/fetched.ts';
import type { ConsumerBlock } from './buffer.ts';
import type { HeldRecords } from './stages.ts';

/** The offsets to which the partitions of an assignment are handled, and to which they are committed. */
export interface CommitPositions {
  /** Notes that blocks are handled, in the order in which they were fetched. Returns the offsets to commit now. */
  handled(blocks: readonly ConsumerBlock[]): readonly TopicPartitionOffset[];
  committed(offsets: readonly TopicPartitionOffset[]): void;
  /** Forgets all offsets, because partitions were assigned again. */
  clear(): void;
}

/** Offsets of records that are held are not committed, until a later call finds that they are no longer held. */
export function createCommitPositions(held: HeldRecords | undefined): CommitPositions {
  const positions = new Map<string, TopicPartitionOffset & { committed: number }>();
  return {
    handled(blocks) {
      for (const entry of blocks.flatMap(({ offsets }) => offsets)) {
        const key = partitionKey(entry.topic, entry.partition);
        const before = positions.get(key);
        // An offset that does not advance: the topic was created again, and Kafka has deleted the committed offset.
        const isRestarted = before === undefined || entry.offset <= before.offset;
        positions.set(key, { ...entry, committed: isRestarted ? -1 : before.committed });
      }
      return [...positions.values()].flatMap(({ topic, partition, offset, committed }) => {
        const end = Math.min(offset, held?.from(topic, partition) ?? Infinity);
        return end > committed ? [{ topic, partition, offset: end }] : [];
      });
    },
    committed(offsets) {
      for (const { topic, partition, offset } of offsets) {
        const entry = positions.get(partitionKey(topic, partition));
        if (entry !== undefined) entry.committed = Math.max(entry.committed, offset);
      }
    },
    clear: () => positions.clear(),
  };
}
