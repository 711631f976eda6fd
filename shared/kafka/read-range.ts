import { randomUUID } from 'node:crypto';
import { within } from './deadline.ts';
import type { Kafka } from './kafka.ts';
import { consumedMessage } from './message.ts';
import type { ConsumedMessage } from './message.ts';

/** Offsets of one partition: `from` belongs to it, `to` does not. */
export interface OffsetRange {
  readonly partition: number;
  readonly from: number;
  readonly to: number;
}

/**
 * Reads these records of a topic and nothing else, once, in no particular order of partitions. Ranges have to lie
 * within what the topic holds (`readTopicEnds`); offsets that compaction took are passed over. Rejects with
 * KAFKA_UNAVAILABLE after `timeoutMs`. For tools: a group of one that commits nothing.
 */
export async function readRange(
  kafka: Kafka,
  topic: string,
  ranges: readonly OffsetRange[],
  onMessage: (message: ConsumedMessage) => void,
  timeoutMs = 30_000,
): Promise<void> {
  const left = new Map(ranges.filter(({ from, to }) => from < to).map((range) => [range.partition, range]));
  if (left.size === 0) return;
  const connection = kafka.open();
  const consumer = connection.client.consumer({
    groupId: `${kafka.clientId}.read.${randomUUID()}`,
    allowAutoTopicCreation: false,
    retry: { retries: 3, restartOnFailure: () => Promise.resolve(false) },
  });
  const { promise: done, resolve, reject } = Promise.withResolvers<undefined>();
  consumer.on(consumer.events.CRASH, ({ payload }) => reject(payload.error));
  const read = async (): Promise<void> => {
    await consumer.connect();
    await consumer.subscribe({ topics: [topic], fromBeginning: true });
    await consumer.run({
      autoCommit: false,
      eachBatch: ({ batch }) => {
        const range = left.get(batch.partition);
        if (range === undefined) return Promise.resolve();
        for (const message of batch.messages) {
          const offset = Number(message.offset);
          if (offset >= range.from && offset < range.to)
            onMessage(consumedMessage(topic, batch.partition, message));
        }
        if (Number(batch.lastOffset()) >= range.to - 1) left.delete(batch.partition);
        if (left.size === 0) resolve(undefined);
        return Promise.resolve();
      },
    });
    for (const { partition, from } of left.values())
      consumer.seek({ topic, partition, offset: String(from) });
    await done;
  };
  try {
    await within(timeoutMs, `reading ${topic}`, read());
  } finally {
    await within(1_000, 'leaving', consumer.disconnect()).catch(() => undefined);
    connection.destroy();
  }
}
