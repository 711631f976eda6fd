import {
  readRecord,
  recordBytesAt,
  recordBytesMax,
  sequenceOf,
  timeOf,
  writeRecord,
} from './segments/record.ts';
import type { SpoolRecord } from './segments/record.ts';

/**
 * A buffer of consecutive records. `used`, `stored` (bytes that the disk has) and `sent` (bytes that Kafka has) are
 * offsets from its start.
 */
interface Chunk {
  readonly buffer: Buffer;
  readonly first: number;
  last: number;
  used: number;
  stored: number;
  sent: number;
}

/** The bytes of a chunk that are written next. They contain only complete records. */
export interface Piece {
  readonly buffer: Buffer;
  readonly from: number;
  readonly to: number;
  /** Sequence numbers of the first and the last record. */
  readonly first: number;
  readonly last: number;
}

/** Sequence numbers of the first and the last event of a range that was dropped or lost. */
export interface DroppedEvents {
  readonly first: number;
  readonly last: number;
  readonly events: number;
}

const chunkBytes = 1024 * 1024;

/**
 * Events in memory that are neither on the disk nor in Kafka, oldest first. While the disk works, these are the events of
 * one or two event-loop iterations, and one buffer is reused.
 *
 * A chunk is neither overwritten nor dropped while a piece of it is being written or a batch of it is being sent.
 */
export class PendingEvents {
  readonly #bytesMax: number;
  readonly #onDropped: (dropped: DroppedEvents) => void;
  readonly #chunks: Chunk[] = [];
  #writing: Chunk | null = null;
  #sending: Chunk | null = null;
  #spare: Buffer | null = null;
  #allocatedBytes = 0;

  /** Bound of the bytes in memory. Above it, the oldest events are dropped. */
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

  /** Returns the next piece to write, or null. The caller has to call `markStored` or `markUnstored` afterwards. */
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

  /** Called when the disk has stored the piece. */
  markStored({ to }: Piece): void {
    const chunk = this.#writing;
    this.#writing = null;
    if (chunk === null) return;
    chunk.stored = to;
    this.#release();
  }

  /** Called when the write of the piece failed. The piece stays pending. */
  markUnstored(): void {
    this.#writing = null;
    this.#release();
  }

  /**
   * Returns the oldest events for the publisher, which does not wait for the disk. They stay in memory until they are
   * stored or sent.
   */
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

  /** Called when Kafka has acknowledged the events of the last batch, up to this sequence number. */
  markSent(sequence: number): void {
    const chunk = this.#sending;
    this.#sending = null;
    if (chunk === null) return;
    while (chunk.sent < chunk.used && sequenceOf(chunk.buffer, chunk.sent) <= sequence) {
      chunk.sent += recordBytesAt(chunk.buffer, chunk.sent);
    }
    this.#release();
  }

  /** The ranges of all events that are still pending. */
  remaining(): DroppedEvents[] {
    return this.#chunks.filter((chunk) => beginOf(chunk) < chunk.used).map(rangeOf);
  }

  get bytes(): number {
    return this.#chunks.reduce((sum, chunk) => sum + chunk.used - beginOf(chunk), 0);
  }

  /** Sequence number of the oldest event; null when there is none. */
  get first(): number | null {
    const chunk = this.#chunks.find((one) => beginOf(one) < one.used);
    return chunk === undefined ? null : sequenceOf(chunk.buffer, beginOf(chunk));
  }

  /** Unix milliseconds at which the oldest event was appended; null when there is none. */
  oldestAtMs(): number | null {
    const chunk = this.#chunks.find((one) => beginOf(one) < one.used);
    return chunk === undefined ? null : timeOf(chunk.buffer, beginOf(chunk));
  }

  /** Removes chunks whose events are all stored or sent. The last buffer is kept for reuse. */
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
