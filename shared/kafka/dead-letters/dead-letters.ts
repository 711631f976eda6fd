import { TollgateError } from '../../runtime/errors.ts';
import { readDeadLetter } from '../../domain/topics/dead-letter.ts';
import type { DeadLetter } from '../../domain/topics/dead-letter.ts';
import type { Kafka } from '../kafkajs/kafka.ts';
import type { ConsumedMessage } from '../message.ts';
import type { Producer } from '../producer/producer.ts';
import { readRange } from '../kafkajs/read-range.ts';
import { takesReplays } from '../topics.ts';
import { readTopicEnds } from '../offsets/topic-offsets.ts';

/** A dead letter as it lies on its topic. */
export interface FiledDeadLetter extends DeadLetter {
  /** `partition-offset` on the dead-letter topic. */
  readonly id: string;
}

/**
 * The newest dead letters, newest first, one for each place they came from: a block that was handled twice leaves
 * two letters of one record. Reads about `limit` records of each partition.
 */
export async function listDeadLetters(
  kafka: Kafka,
  topic: string,
  { limit }: { readonly limit: number },
): Promise<readonly FiledDeadLetter[]> {
  const ends = await readTopicEnds(kafka, topic);
  const ranges = ends.map(({ partition, low, high }) => ({
    partition,
    from: Math.max(low, high - limit),
    to: high,
  }));
  const byOrigin = new Map<string, FiledDeadLetter>();
  await readRange(kafka, topic, ranges, (message) => {
    const letter = filed(message);
    const { id, topic: origin, partition, offset } = letter;
    byOrigin.set(offset === null ? id : `${origin} ${String(partition)} ${offset}`, letter);
  });
  return [...byOrigin.values()].sort((a, b) => b.atMs - a.atMs).slice(0, limit);
}

/** One dead letter by its id; null when there is none, or Kafka has let it go. */
export async function getDeadLetter(
  kafka: Kafka,
  topic: string,
  id: string,
): Promise<FiledDeadLetter | null> {
  const [partition, offset] = /^\d{1,9}-\d{1,15}$/.test(id) ? id.split('-').map(Number) : [];
  const end = (await readTopicEnds(kafka, topic)).find((candidate) => candidate.partition === partition);
  if (end === undefined || offset === undefined || offset < end.low || offset >= end.high) return null;
  const found: FiledDeadLetter[] = [];
  await readRange(kafka, topic, [{ partition: end.partition, from: offset, to: offset + 1 }], (message) => {
    found.push(filed(message));
  });
  return found[0] ?? null;
}

/**
 * Puts the original bytes back on the topic they came from, under their key and with their headers. False when there is no such letter.
 * Safe to repeat: an event is recognised by its id, and what is still unreadable becomes a dead letter again. Rejects
 * with KAFKA_RECORD_REFUSED for a letter that holds only the beginning of its record, or names a topic of others.
 */
export async function replayDeadLetter(
  { kafka, producer, topic }: { readonly kafka: Kafka; readonly producer: Producer; readonly topic: string },
  id: string,
): Promise<boolean> {
  const letter = await getDeadLetter(kafka, topic, id);
  if (letter === null) return false;
  if (letter.cut || letter.holds === 'batch' || !takesReplays(letter.topic, topic)) {
    throw new TollgateError(
      'KAFKA_RECORD_REFUSED',
      `dead letter ${id} does not hold its whole record, or names another topic`,
    );
  }
  const headers = { ...letter.headers, 'tollgate-replay': id };
  await producer.send(letter.topic, [{ key: letter.key, value: letter.value, headers }]);
  return true;
}

export function filed(message: ConsumedMessage): FiledDeadLetter {
  return { id: `${message.partition}-${message.offset}`, ...readDeadLetter(message) };
}
