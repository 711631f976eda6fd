import type { Piece } from '../pending-events.ts';

/** Size of a buffer, above the largest batch of the publisher. */
const bufferBytes = 1024 * 1024;

/**
 * A copy of the newest bytes of the active segment, so that a publisher without a backlog does not read them from the disk.
 * Returned bytes are never overwritten: a full buffer is replaced by another one.
 */
export class WrittenBytes {
  /** The segment, of which only the identity counts. */
  #segment: object | null = null;
  /** Offset in the segment of the first byte of the buffer. */
  #from = 0;
  #used = 0;
  #buffer: Buffer | null = null;
  /**
   * False if the publisher has read nothing since the buffer began, for example while Kafka is unavailable. Copies of further bytes
   * would then be useless.
   */
  #isRead = true;

  /** Adds a piece that was written to the segment at this offset. */
  add(segment: object, at: number, { buffer, from, to }: Pick<Piece, 'buffer' | 'from' | 'to'>): void {
    const length = to - from;
    const fits = this.#buffer !== null && this.#used + length <= bufferBytes;
    const follows = segment === this.#segment && at === this.#from + this.#used;
    if (!fits || !follows) this.#begin(segment, at);
    if (this.#buffer === null || length > bufferBytes) return;
    buffer.copy(this.#buffer, this.#used, from, to);
    this.#used += length;
  }

  /** Returns `length` bytes of the segment from this offset; null if they have to be read from the disk. */
  read(segment: object, at: number, length: number): Buffer | null {
    this.#isRead = true;
    const from = at - this.#from;
    if (segment !== this.#segment || from < 0 || from + length > this.#used) return null;
    return this.#buffer?.subarray(from, from + length) ?? null;
  }

  #begin(segment: object, at: number): void {
    this.#segment = segment;
    this.#from = at;
    this.#used = 0;
    this.#buffer = this.#isRead ? Buffer.allocUnsafeSlow(bufferBytes) : null;
    this.#isRead = false;
  }
}
