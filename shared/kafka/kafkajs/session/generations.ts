import type { Batch, Consumer as KafkaJsConsumer } from 'kafkajs';
import type { Fetched, SessionHandlers } from './session.ts';

type FetchedPlace = Pick<Fetched, 'topic' | 'partition' | 'nextOffset'>;

export interface Generations {
  /** False when the records do not follow those before, or came after the session was given up: then nothing of them counts. */
  follows(fetched: FetchedPlace, fetchedOffset: number): boolean;
}

/**
 * Watches that each assignment is read from its committed offsets on, without a hole.
 *
 * When a fetch finds its leader gone, kafkajs joins the group again from within that fetch while the fetches from
 * other brokers go on. What those bring belongs to the assignment before, and marks records as read which the new
 * one has not delivered. A session in which that could happen is ended; the next one reads on from what is committed.
 */
export function watchGenerations(
  consumer: KafkaJsConsumer,
  handlers: SessionHandlers,
  end: (reason: Error) => void,
): Generations {
  const { GROUP_JOIN, REBALANCING, END_BATCH_PROCESS } = consumer.events;
  const expected = new Map<string, number>();
  let fetching = false;
  let over = false;
  consumer.on(GROUP_JOIN, ({ payload }) => {
    if (fetching) {
      giveUp('The group was joined again in the middle of fetching');
      return;
    }
    fetching = true;
    expected.clear();
    if (!over) handlers.onAssigned(new Map(Object.entries(payload.memberAssignment)));
  });
  consumer.on(REBALANCING, () => {
    fetching = false;
    if (!over) handlers.onRevoked();
  });
  // A fetch of which compaction left nothing is not handed to eachBatch, but the place to read on has moved.
  consumer.on(END_BATCH_PROCESS, ({ payload }) => {
    if (payload.batchSize > 0 || over) return;
    const { topic, partition, lastOffset } = payload;
    const nextOffset = Number(lastOffset) + 1;
    expected.set(`${partition} ${topic}`, nextOffset);
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

  function follows({ topic, partition, nextOffset }: FetchedPlace, fetchedOffset: number): boolean {
    const place = `${partition} ${topic}`;
    if (fetchedOffset > (expected.get(place) ?? Infinity))
      giveUp(`${topic}/${partition} was not read without a hole`);
    if (over) return false;
    expected.set(place, nextOffset);
    return true;
  }

  function giveUp(reason: string): void {
    if (over) return;
    over = true;
    handlers.onRevoked();
    end(new Error(reason));
  }
}

/** The offset that was asked for; kafkajs has it on its batch, and not in its types. */
export function fetchedOffsetOf(batch: Batch): number {
  return 'fetchedOffset' in batch ? Number(batch.fetchedOffset) : -1;
}
