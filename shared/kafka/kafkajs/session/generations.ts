import type { Batch, Consumer as KafkaJsConsumer } from 'kafkajs';
import { partitionKey } from './fetched.ts';
import type { Fetched, SessionHandlers } from './fetched.ts';

export interface Generations {
  /**
   * Returns false if the fetched records do not directly follow the records before them, or if the session has ended.
   * The caller must then drop the records.
   */
  follows(
    fetched: Pick<Fetched, 'topic' | 'partition' | 'nextOffset'>,
    /** Offset that the fetch requested. */
    fetchedOffset: number,
  ): boolean;
}

/**
 * Checks that each assignment is read without a gap, beginning at its committed offsets.
 *
 * If a fetch finds that a partition's leader has moved, kafkajs joins the group again from within that fetch, while
 * fetches from other brokers continue. The records of these other fetches belong to the previous assignment. If they
 * were accepted, records that the new assignment has not delivered would be marked as read. So the session is ended,
 * and the next session continues from the committed offsets.
 */
export function watchGenerations(
  consumer: KafkaJsConsumer,
  handlers: SessionHandlers,
  end: (reason: Error) => void,
): Generations {
  const { GROUP_JOIN, REBALANCING, END_BATCH_PROCESS } = consumer.events;
  const expected = new Map<string, number>();
  let isFetching = false;
  let hasEnded = false;
  consumer.on(GROUP_JOIN, ({ payload }) => {
    if (isFetching) {
      endSession('The group was joined again in the middle of fetching');
      return;
    }
    isFetching = true;
    expected.clear();
    if (!hasEnded) handlers.onAssigned(new Map(Object.entries(payload.memberAssignment)));
  });
  consumer.on(REBALANCING, () => {
    isFetching = false;
    if (!hasEnded) handlers.onRevoked();
  });
  // If compaction has removed all records of a fetch, kafkajs does not call eachBatch, but the offsets must still be
  // committed.
  consumer.on(END_BATCH_PROCESS, ({ payload }) => {
    if (payload.batchSize > 0 || hasEnded) return;
    const { topic, partition, lastOffset } = payload;
    const nextOffset = Number(lastOffset) + 1;
    expected.set(partitionKey(topic, partition), nextOffset);
    handlers.onFetched({
      topic,
      partition,
      messages: [],
      unreadable: [],
      nextOffset,
      commitOffset: nextOffset,
    });
  });
  return { follows };

  function follows(
    { topic, partition, nextOffset }: Parameters<Generations['follows']>[0],
    fetchedOffset: number,
  ): boolean {
    const key = partitionKey(topic, partition);
    if (fetchedOffset > (expected.get(key) ?? Infinity)) {
      endSession(`A fetch of ${topic}/${partition} skipped offsets`);
    }
    if (hasEnded) return false;
    expected.set(key, nextOffset);
    return true;
  }

  function endSession(reason: string): void {
    if (hasEnded) return;
    hasEnded = true;
    handlers.onRevoked();
    end(new Error(reason));
  }
}

/** Returns the offset that the fetch requested. kafkajs stores it in the batch, but its types do not declare it. */
export function fetchedOffsetOf(batch: Batch): number {
  return 'fetchedOffset' in batch ? Number(batch.fetchedOffset) : -1;
}
