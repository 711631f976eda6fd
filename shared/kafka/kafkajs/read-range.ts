import { randomUUID } from 'node:crypto';
import type { Batch } from 'kafkajs';
import { within, withinOr } from '../../runtime/within.ts';
import type { LogEntry } from './decoding/log-entry.ts';
import type { Kafka } from './kafka.ts';
import { consumedMessage } from '../message.ts';
import type { ConsumedMessage } from '../message.ts';

/** Offsets of one partition, from `from` inclusive to `to` exclusive. */
export interface OffsetRange {
  readonly partition: number;
  readonly from: number;
  readonly to: number;
}

export interface ReadRangeOptions {
  readonly timeoutMs?: number;
  /**
   * If true, records of aborted transactions are skipped. The ranges must then end before the first record of any open
   * transaction.
   */
  readonly committedOnly?: boolean;
}

/**
 * Reads exactly these records of a topic, each once; partitions are read in any order. The ranges must be within the
 * offsets of the topic (`readTopicEnds`). Offsets that compaction has emptied, and batches that cannot be decoded, are
 * skipped. Rejects with KAFKA_UNAVAILABLE after `timeoutMs`. Uses a consumer group that has one member and commits
 * nothing.
 */
export async function readRange(
  kafka: Kafka,
  topic: string,
  ranges: readonly OffsetRange[],
  onMessage: (message: ConsumedMessage) => void,
  { timeoutMs = 30_000, committedOnly = false }: ReadRangeOptions = {},
): Promise<void> {
  const left = new Map(ranges.filter(({ from, to }) => from < to).map((range) => [range.partition, range]));
  if (left.size === 0) return;
  const connection = kafka.open();
  const consumer = connection.client.consumer({
    groupId: `${kafka.clientId}.read.${randomUUID()}`,
    allowAutoTopicCreation: false,
    readUncommitted: !committedOnly,
    retry: { retries: 3, restartOnFailure: () => Promise.resolve(false) },
  });
  const { promise: done, resolve, reject } = Promise.withResolvers<undefined>();
  consumer.on(consumer.events.CRASH, ({ payload }) => reject(payload.error));
  // kafkajs emits this event for every fetch, also for a fetch without records, for which it does not call eachBatch.
  consumer.on(consumer.events.END_BATCH_PROCESS, ({ payload: { partition, lastOffset } }) => {
    if (Number(lastOffset) >= (left.get(partition)?.to ?? Infinity) - 1) left.delete(partition);
    if (left.size === 0) resolve(undefined);
  });
  const read = async (): Promise<void> => {
    await consumer.connect();
    await consumer.subscribe({ topics: [topic], fromBeginning: true });
    await consumer.run({
      autoCommit: false,
      eachBatch: ({ batch }) => {
        const range = left.get(batch.partition);
        if (range !== undefined) deliver(batch, range, onMessage);
        return Promise.resolve();
      },
    });
    for (const { partition, from } of left.values())
      consumer.seek({ topic, partition, offset: String(from) });
    await done;
  };
  try {
    await within(read(), timeoutMs, 'KAFKA_UNAVAILABLE', `reading ${topic}`);
  } finally {
    await withinOr(consumer.disconnect(), 1_000, undefined).catch(() => undefined);
    connection.destroy();
  }
}

function deliver(
  { topic, partition, messages }: Batch,
  { from, to }: OffsetRange,
  onMessage: (message: ConsumedMessage) => void,
): void {
  // kafkajs delivers the entries that `decoding/fetch-response.ts` returns.
  for (const entry of messages as unknown as readonly LogEntry[]) {
    const offset = Number(entry.offset);
    if (entry.kind === 'record' && offset >= from && offset < to)
      onMessage(consumedMessage(topic, partition, entry));
  }
}
