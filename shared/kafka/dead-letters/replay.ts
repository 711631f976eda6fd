import { readInstant } from '../../domain/time/instant.ts';
import { readOffsetsAt } from '../offsets/topic-offsets.ts';
import { filed } from './dead-letters.ts';
import type { FiledDeadLetter } from './dead-letters.ts';
import type { Kafka } from '../kafkajs/kafka.ts';
import type { Producer } from '../producer/producer.ts';
import { readRange } from '../kafkajs/read-range.ts';
import { sendInPieces } from '../producer/send-in-pieces.ts';
import { takesReplays } from '../topics.ts';
import { readTopicEnds } from '../offsets/topic-offsets.ts';

export interface ReplaySelection {
  /** Text that the reason contains, whatever its case. */
  readonly reason?: string;
  readonly tenantId?: string;
  /** Letters written at or after this instant. */
  readonly sinceMs?: number;
  /** Added to the time of each event, for those of a node whose clock was wrong. */
  readonly shiftMs: number;
  /** Only count. */
  readonly dryRun: boolean;
}

export interface ReplayReport {
  readonly matched: number;
  readonly sent: number;
  /** Letters that hold a part of their record or a batch that cannot be divided, or that name a topic of others. */
  readonly incomplete: number;
  /** Letters whose time cannot be corrected: they are no events with a time. */
  readonly withoutTime: number;
  /** There are more letters than one call takes: repeat it with a later `since`, or for fewer. */
  readonly more: boolean;
  readonly byReason: Readonly<Record<string, number>>;
}

const lettersMax = 20_000;
const bytesMax = 128 * 1024 * 1024;

/**
 * Puts all selected dead letters back on the topics they came from, one for each place they came from. Safe to repeat:
 * events are recognised by their id, older announcements and records do not replace newer ones.
 */
export async function replayDeadLetters(
  { kafka, producer, topic }: { readonly kafka: Kafka; readonly producer: Producer; readonly topic: string },
  selection: ReplaySelection,
): Promise<ReplayReport> {
  const { letters, more } = await select(kafka, topic, selection);
  const whole = letters.filter(
    ({ cut, holds, topic: origin }) => !cut && holds === 'record' && takesReplays(origin, topic),
  );
  const corrected = whole.flatMap((letter) => withShiftedTime(letter, selection.shiftMs) ?? []);
  if (!selection.dryRun) {
    for (const [origin, own] of Map.groupBy(corrected, ({ topic: to }) => to)) {
      await sendInPieces(
        producer,
        origin,
        own.map(({ id, key, value, headers }) => ({
          key,
          value,
          headers: { ...headers, 'tollgate-replay': id },
        })),
      );
    }
  }
  const byReason: Record<string, number> = {};
  for (const { reason } of letters) byReason[reason] = (byReason[reason] ?? 0) + 1;
  return {
    matched: letters.length,
    sent: selection.dryRun ? 0 : corrected.length,
    incomplete: letters.length - whole.length,
    withoutTime: whole.length - corrected.length,
    more,
    byReason,
  };
}

async function select(
  kafka: Kafka,
  topic: string,
  { reason = '', tenantId, sinceMs = 0 }: ReplaySelection,
): Promise<{ readonly letters: readonly FiledDeadLetter[]; readonly more: boolean }> {
  const [ends, since] = await Promise.all([
    readTopicEnds(kafka, topic),
    readOffsetsAt(kafka, topic, sinceMs),
  ]);
  const ranges = ends.map(({ partition, low, high }) => ({
    partition,
    from: Math.max(low, Math.min(since.get(partition) ?? high, high)),
    to: high,
  }));
  const byOrigin = new Map<string, FiledDeadLetter>();
  let bytes = 0;
  let more = false;
  await readRange(kafka, topic, ranges, (message) => {
    const letter = filed(message);
    if (letter.atMs < sinceMs || (tenantId !== undefined && letter.tenantId !== tenantId)) return;
    if (!letter.reason.toLowerCase().includes(reason.toLowerCase())) return;
    bytes += letter.value.length;
    more ||= byOrigin.size >= lettersMax || bytes > bytesMax;
    const { id, topic: origin, partition, offset } = letter;
    if (!more) byOrigin.set(offset === null ? id : `${origin} ${String(partition)} ${offset}`, letter);
  });
  return { letters: [...byOrigin.values()], more };
}

/** Null where the record has no time of its own. Of the binary form of CloudEvents it is a header. */
function withShiftedTime(letter: FiledDeadLetter, shiftMs: number): FiledDeadLetter | null {
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
