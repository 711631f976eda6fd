import type { ProducerRecord } from './producer.ts';

/** A record that could not be read or sent, on its way to `tollgate.dead-letters.v1`. */
export interface DeadLetter {
  /** One sentence for a person. */
  readonly reason: string;
  /** Where it stood: the topic it was read from, or was meant for. */
  readonly topic: string;
  /** Null for what never reached the topic. */
  readonly partition: number | null;
  readonly offset: number | null;
  readonly key: string | null;
  /** The record's own headers: an event in binary form has its attributes there. */
  readonly headers: Readonly<Record<string, string>>;
  /** The original bytes, or their beginning where `cut`. */
  readonly value: Buffer;
  /** Length of the original value. */
  readonly bytes: number;
  readonly cut: boolean;
  readonly atMs: number;
}

type NewDeadLetter = Omit<DeadLetter, 'bytes' | 'cut' | 'headers'> & Partial<Pick<DeadLetter, 'headers'>>;

const ownPrefix = 'tollgate-';

const header = {
  reason: 'tollgate-reason',
  topic: 'tollgate-topic',
  partition: 'tollgate-partition',
  offset: 'tollgate-offset',
  bytes: 'tollgate-bytes',
  cutHeaders: 'tollgate-cut-headers',
  at: 'tollgate-at',
};

/** What is longer is cut: a record that is refused for its size would be refused again. */
const valueBytesMax = 256 * 1024;
const reasonLengthMax = 1_000;
/** Of the record's own headers; larger ones are left out as a whole, and the letter says that it is cut. */
const headersLengthMax = 64 * 1024;

/**
 * The original value stays the value, byte for byte, and its headers stay headers, so that a replay is a copy; what is
 * said about it travels in headers of its own.
 */
export function deadLetterRecord(letter: NewDeadLetter): ProducerRecord {
  const kept = keptHeaders(letter.headers ?? {});
  return {
    key: letter.key,
    value: letter.value.subarray(0, valueBytesMax),
    headers: {
      ...kept,
      [header.reason]: letter.reason.slice(0, reasonLengthMax),
      [header.topic]: letter.topic,
      ...(letter.partition !== null && { [header.partition]: String(letter.partition) }),
      ...(letter.offset !== null && { [header.offset]: String(letter.offset) }),
      [header.bytes]: String(letter.value.length),
      ...(kept === null && { [header.cutHeaders]: 'true' }),
      [header.at]: new Date(letter.atMs).toISOString(),
    },
  };
}

/** Null where they are too large. Of a letter that was replayed the header that says so is not its own. */
function keptHeaders(headers: DeadLetter['headers']): DeadLetter['headers'] | null {
  const own = Object.entries(headers).filter(([name]) => !name.startsWith(ownPrefix));
  const length = own.reduce((sum, [name, value]) => sum + name.length + value.length, 0);
  return length > headersLengthMax ? null : Object.fromEntries(own);
}

/** Reads what `deadLetterRecord` wrote. Of records by other writers it keeps the bytes and leaves the rest empty. */
export function readDeadLetter(message: {
  readonly key: string | null;
  readonly value: Buffer | null;
  readonly headers: Readonly<Record<string, string>>;
  readonly timestampMs: number;
}): DeadLetter {
  const { key, headers, timestampMs } = message;
  const value = message.value ?? Buffer.alloc(0);
  const bytes = numberIn(headers[header.bytes]) ?? value.length;
  const atMs = Date.parse(headers[header.at] ?? '');
  return {
    reason: headers[header.reason] ?? '',
    topic: headers[header.topic] ?? '',
    partition: numberIn(headers[header.partition]),
    offset: numberIn(headers[header.offset]),
    key,
    headers: keptHeaders(headers) ?? {},
    value,
    bytes,
    cut: bytes > value.length || headers[header.cutHeaders] !== undefined,
    atMs: Number.isNaN(atMs) ? timestampMs : atMs,
  };
}

function numberIn(text: string | undefined): number | null {
  return text !== undefined && /^\d+$/.test(text) ? Number(text) : null;
}
