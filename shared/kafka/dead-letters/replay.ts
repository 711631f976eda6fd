import { readInstant } from '../../domain/time/instant.ts';
import { TollgateError } from '../../runtime/errors.ts';
import type { Kafka } from '../kafkajs/kafka.ts';
import { readOffsetsAt, readTopicEnds } from '../offsets/topic-offsets.ts';
import type { Producer, ProducerRecord } from '../producer/producer.ts';
import { sendInPieces } from '../producer/send-in-pieces.ts';
import { takesReplays } from '../topics.ts';
import { forEachDeadLetter, getDeadLetter, originOf } from './dead-letters.ts';
import type { StoredDeadLetter } from './dead-letters.ts';

export interface ReplayOptions {
  readonly kafka: Kafka;
  readonly producer: Producer;
  /** The dead-letter topic. */
  readonly topic: string;
}

/**
 * Sends the original bytes to their original topic, with their key and headers. Returns false if there is no dead
 * letter with this id. Safe to repeat: an event is recognised by its id, and a record that still cannot be read becomes
 * a dead letter again. Rejects with KAFKA_RECORD_REFUSED if the dead letter has only the beginning of its record, or
 * names a topic of another installation.
 */
export async function replayDeadLetter(
  { kafka, producer, topic }: ReplayOptions,
  id: string,
): Promise<boolean> {
  const letter = await getDeadLetter(kafka, topic, id);
  if (letter === null) return false;
  if (!isReplayable(letter, topic)) {
    throw new TollgateError(
      'KAFKA_RECORD_REFUSED',
      `dead letter ${id} does not hold its whole record, or names another topic`,
    );
  }
  await producer.send(letter.topic, [replayOf(letter)]);
  return true;
}

export interface ReplaySelection {
  /** Selects dead letters whose reason contains this text, in lower or upper case. */
  readonly reason?: string;
  readonly tenantId?: string;
  /** Selects dead letters that were written at or after this instant. */
  readonly sinceMs?: number;
  /** Milliseconds to add to the time of each event, for events of a gateway whose clock was wrong. */
  readonly shiftMs: number;
  /** Only count. */
  readonly dryRun: boolean;
}

export interface ReplayReport {
  readonly matched: number;
  readonly sent: number;
  /**
   * Number of dead letters that cannot be replayed: they hold a part of a record or a complete batch, or name a topic
   * of another installation.
   */
  readonly incomplete: number;
  /** Number of dead letters whose time cannot be shifted, because they are not events with a time. */
  readonly withoutTime: number;
  /**
   * True if more dead letters match than one call replays. Then call again with a later `since` or a narrower
   * selection.
   */
  readonly more: boolean;
  readonly byReason: Readonly<Record<string, number>>;
}

const lettersMax = 20_000;
const bytesMax = 128 * 1024 * 1024;

/**
 * Replays all selected dead letters, one for each original record. Safe to repeat: events are recognised by their id,
 * and older announcements and tenant records do not replace newer ones.
 */
export async function replayDeadLetters(
  { kafka, producer, topic }: ReplayOptions,
  selection: ReplaySelection,
): Promise<ReplayReport> {
  const { letters, more } = await select(kafka, topic, selection);
  const replayable = letters.filter((letter) => isReplayable(letter, topic));
  const shifted = replayable.flatMap((letter) => withShiftedTime(letter, selection.shiftMs) ?? []);
  if (!selection.dryRun) {
    for (const [origin, own] of Map.groupBy(shifted, (letter) => letter.topic)) {
      await sendInPieces(producer, origin, own.map(replayOf));
    }
  }
  const byReason: Record<string, number> = {};
  for (const { reason } of letters) byReason[reason] = (byReason[reason] ?? 0) + 1;
  return {
    matched: letters.length,
    sent: selection.dryRun ? 0 : shifted.length,
    incomplete: letters.length - replayable.length,
    withoutTime: replayable.length - shifted.length,
    more,
    byReason,
  };
}

function isReplayable({ cut, holds, topic: origin }: StoredDeadLetter, topic: string): boolean {
  return !cut && holds === 'record' && takesReplays(origin, topic);
}

function replayOf({ id, key, value, headers }: StoredDeadLetter): ProducerRecord {
  return { key, value, headers: { ...headers, 'tollgate-replay': id } };
}

async function select(
  kafka: Kafka,
  topic: string,
  { reason = '', tenantId, sinceMs = 0 }: ReplaySelection,
): Promise<{ readonly letters: readonly StoredDeadLetter[]; readonly more: boolean }> {
  const [ends, since] = await Promise.all([
    readTopicEnds(kafka, topic),
    readOffsetsAt(kafka, topic, sinceMs),
  ]);
  const ranges = ends.map(({ partition, low, high }) => ({
    partition,
    from: Math.max(low, Math.min(since.get(partition) ?? high, high)),
    to: high,
  }));
  const byOrigin = new Map<string, StoredDeadLetter>();
  let bytes = 0;
  let more = false;
  await forEachDeadLetter(kafka, topic, ranges, (letter) => {
    if (letter.atMs < sinceMs || (tenantId !== undefined && letter.tenantId !== tenantId)) return;
    if (!letter.reason.toLowerCase().includes(reason.toLowerCase())) return;
    bytes += letter.value.length;
    more ||= byOrigin.size >= lettersMax || bytes > bytesMax;
    if (!more) byOrigin.set(originOf(letter), letter);
  });
  return { letters: [...byOrigin.values()], more };
}

/**
 * Returns the record with its time shifted; null if the record has no time of its own. An event in the binary form of
 * CloudEvents has its time in a header.
 */
function withShiftedTime(letter: StoredDeadLetter, shiftMs: number): StoredDeadLetter | null {
  if (shiftMs === 0) return letter;
  const header = shifted(letter.headers['ce_time'], shiftMs);
  if (header !== null) return { ...letter, headers: { ...letter.headers, ce_time: header } };
  try {
    const event = JSON.parse(letter.value.toString()) as Readonly<Record<string, unknown>> | null;
    const time = shifted(event?.['time'], shiftMs);
    return time === null ? null : { ...letter, value: Buffer.from(JSON.stringify({ ...event, time })) };
  } catch {
    return null;
  }
}

function shifted(time: unknown, shiftMs: number): string | null {
  const atMs = typeof time === 'string' ? readInstant(time) : null;
  return atMs === null ? null : new Date(atMs + shiftMs).toISOString();
}
