import { readDeadLetter } from '../../domain/topics/dead-letter.ts';
import type { DeadLetter } from '../../domain/topics/dead-letter.ts';
import type { Kafka } from '../kafkajs/kafka.ts';
import { readRange } from '../kafkajs/read-range.ts';
import type { OffsetRange } from '../kafkajs/read-range.ts';
import type { ConsumedMessage } from '../message.ts';
import { readTopicEnds } from '../offsets/topic-offsets.ts';

/** A dead letter with its place on the dead-letter topic. */
export interface StoredDeadLetter extends DeadLetter {
  /** Partition and offset on the dead-letter topic, as `partition-offset`. */
  readonly id: string;
}

/**
 * Returns the newest dead letters, newest first. Returns one dead letter for each original record, although a record
 * that was handled twice may have two. Reads about `limit` records of each partition.
 */
export async function listDeadLetters(
  kafka: Kafka,
  topic: string,
  { limit }: { readonly limit: number },
): Promise<readonly StoredDeadLetter[]> {
  const ends = await readTopicEnds(kafka, topic);
  const ranges = ends.map(({ partition, low, high }) => ({
    partition,
    from: Math.max(low, high - limit),
    to: high,
  }));
  const byOrigin = new Map<string, StoredDeadLetter>();
  await forEachDeadLetter(kafka, topic, ranges, (letter) => byOrigin.set(originOf(letter), letter));
  return [...byOrigin.values()].sort((a, b) => b.atMs - a.atMs).slice(0, limit);
}

/** Returns one dead letter by its id; null if it does not exist or if retention has deleted it. */
export async function getDeadLetter(
  kafka: Kafka,
  topic: string,
  id: string,
): Promise<StoredDeadLetter | null> {
  const [partition, offset] = /^\d{1,9}-\d{1,15}$/.test(id) ? id.split('-').map(Number) : [];
  const end = (await readTopicEnds(kafka, topic)).find((candidate) => candidate.partition === partition);
  if (end === undefined || offset === undefined || offset < end.low || offset >= end.high) return null;
  const found: StoredDeadLetter[] = [];
  const range = { partition: end.partition, from: offset, to: offset + 1 };
  await forEachDeadLetter(kafka, topic, [range], (letter) => found.push(letter));
  return found[0] ?? null;
}

export function forEachDeadLetter(
  kafka: Kafka,
  topic: string,
  ranges: readonly OffsetRange[],
  onLetter: (letter: StoredDeadLetter) => void,
): Promise<void> {
  return readRange(kafka, topic, ranges, (message) => onLetter(storedDeadLetter(message)));
}

/**
 * Returns a key that identifies the original record. A record that never reached its topic has no place there, so the
 * key is then the place of the dead letter.
 */
export function originOf({ id, topic, partition, offset }: StoredDeadLetter): string {
  return offset === null ? id : `${topic} ${String(partition)} ${offset}`;
}

function storedDeadLetter(message: ConsumedMessage): StoredDeadLetter {
  return { id: `${message.partition}-${message.offset}`, ...readDeadLetter(message) };
}
