import {
  readRecord,
  recordBytesAt,
  recordBytesMax,
  sequenceOf,
  timeOf,
  writeRecord,
} from './segments/record.ts';
import type { SpoolRecord } from './segments/record.ts';

/** Consecutive events as records in one buffer. What is on the disk (`stored`) or in Kafka (`sent`) is a beginning of it. */
interface Chunk {
  readonly buffer: Buffer;
  readonly first: number;
  last: number;
  used: number;
  stored: number;
  sent: number;
}

/** Bytes of a chunk that are to be written next: whole records. */
export interface Piece {
  readonly buffer: Buffer;
  readonly from: number;
  readonly to: number;
  /** Sequence of the first and of the last record. */
  readonly first: number;
  readonly last: number;
}

/** SequenceMarkFile of events that were dropped, all between `first` and `last`. */
export interface DroppedEvents {
  readonly first: number;
  readonly last: number;
  readonly events: number;
}

const chunkBytes = 1024 * 1024;

/**
 * Events that were appended and are neither on the disk nor in Kafka, oldest first. While the disk works it holds
 * those of a turn or two, and its one buffer is used again and again.
 *
 * A piece that is being written and a batch that is being sent keep their chunk in place: it is never overwritten nor
 * dropped in the meantime.
 */
export class PendingEvents {
  readonly #bytesMax: number;
  readonly #onDropped: (dropped: DroppedEvents) => void;
  readonly #chunks: Chunk[] = [];
  #writing: Chunk | null = null;
  #sending: Chunk | null = null;
  #spare: Buffer | null = null;
  #allocatedBytes = 0;

  /** Above `bytesMax` the oldest events are dropped. */
  constructor(bytesMax: number, onDropped: (dropped: DroppedEvents) => void) {
    this.#bytesMax = bytesMax;
    this.#onDropped = onDropped;
  }

  append(sequence: number, nowMs: number, key: string, value: string): void {
    const bytes = recordBytesMax(key, value);
    let chunk = this.#chunks.at(-1);
    if (chunk === undefined || chunk.used + bytes > chunk.buffer.length) {
      const buffer = bytes > chunkBytes ? Buffer.allocUnsafeSlow(bytes) : this.#newBuffer();
      while (this.#allocatedBytes + buffer.length > this.#bytesMax && this.#dropOldest());
      this.#allocatedBytes += buffer.length;
      chunk = { buffer, first: sequence, last: sequence, used: 0, stored: 0, sent: 0 };
      this.#chunks.push(chunk);
    }
    chunk.used = writeRecord(chunk.buffer, chunk.used, sequence, nowMs, key, value);
    chunk.last = sequence;
  }

  /** What is to be written next, null when nothing is. To be followed by `stored` or `refused`. */
  nextPiece(): Piece | null {
    const chunk = this.#chunks.find((one) => beginOf(one) < one.used);
    if (chunk === undefined) return null;
    this.#writing = chunk;
    const from = beginOf(chunk);
    return {
      buffer: chunk.buffer,
      from,
      to: chunk.used,
      first: sequenceOf(chunk.buffer, from),
      last: chunk.last,
    };
  }

  /** The piece is on the disk. */
  stored({ to }: Piece): void {
    const chunk = this.#writing;
    this.#writing = null;
    if (chunk === null) return;
    chunk.stored = to;
    this.#release();
  }

  /** The disk did not take the piece: it stays. */
  refused(): void {
    this.#writing = null;
    this.#release();
  }

  /** The oldest events, for a sender that does not wait for the disk. They stay until `sent` or `stored`. */
  readBatch(recordsMax: number, bytesMax: number): SpoolRecord[] {
    const chunk = this.#chunks.find((one) => beginOf(one) < one.used);
    if (chunk === undefined) return [];
    this.#sending = chunk;
    const records: SpoolRecord[] = [];
    const from = beginOf(chunk);
    for (let at = from; at < chunk.used && records.length < recordsMax && at - from < bytesMax;) {
      const outcome = readRecord(chunk.buffer, at);
      if (outcome.kind !== 'record') throw new Error('A record in memory cannot be read');
      records.push(outcome.record);
      at = outcome.end;
    }
    return records;
  }

  /** Kafka has what was taken, up to and with this sequence. */
  sent(sequence: number): void {
    const chunk = this.#sending;
    this.#sending = null;
    if (chunk === null) return;
    while (chunk.sent < chunk.used && sequenceOf(chunk.buffer, chunk.sent) <= sequence) {
      chunk.sent += recordBytesAt(chunk.buffer, chunk.sent);
    }
    this.#release();
  }

  /** All events that are left, by chunk, for an account of them. */
  left(): DroppedEvents[] {
    return this.#chunks.filter((chunk) => beginOf(chunk) < chunk.used).map(rangeOf);
  }

  get bytes(): number {
    return this.#chunks.reduce((sum, chunk) => sum + chunk.used - beginOf(chunk), 0);
  }

  /** Sequence of the oldest event; null when there is none. */
  get first(): number | null {
    const chunk = this.#chunks.find((one) => beginOf(one) < one.used);
    return chunk === undefined ? null : sequenceOf(chunk.buffer, beginOf(chunk));
  }

  /** When the oldest event was appended, as Unix milliseconds. */
  oldestAtMs(): number | null {
    const chunk = this.#chunks.find((one) => beginOf(one) < one.used);
    return chunk === undefined ? null : timeOf(chunk.buffer, beginOf(chunk));
  }

  /** Chunks whose events are all stored or sent go; the last buffer is kept for what comes. */
  #release(): void {
    for (;;) {
      const [chunk] = this.#chunks;
      if (chunk === undefined || beginOf(chunk) < chunk.used) return;
      if (chunk === this.#writing || chunk === this.#sending) return;
      this.#chunks.shift();
      this.#allocatedBytes -= chunk.buffer.length;
      if (chunk.buffer.length === chunkBytes) this.#spare = chunk.buffer;
    }
  }

  /** Drops the oldest chunk that is neither being written nor being sent. */
  #dropOldest(): boolean {
    const index = this.#chunks.findIndex((one) => one !== this.#writing && one !== this.#sending);
    const [chunk] = index === -1 ? [] : this.#chunks.splice(index, 1);
    if (chunk === undefined) return false;
    this.#allocatedBytes -= chunk.buffer.length;
    this.#onDropped(rangeOf(chunk));
    return true;
  }

  #newBuffer(): Buffer {
    const buffer = this.#spare ?? Buffer.allocUnsafeSlow(chunkBytes);
    this.#spare = null;
    return buffer;
  }
}

function beginOf({ stored, sent }: Chunk): number {
  return Math.max(stored, sent);
}

function rangeOf(chunk: Chunk): DroppedEvents {
  const first = sequenceOf(chunk.buffer, beginOf(chunk));
  return { first, last: chunk.last, events: chunk.last - first + 1 };
}
