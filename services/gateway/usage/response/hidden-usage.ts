import { joinInOwnMemory } from '../own-memory.ts';
import type { JsonSink } from '../json/tokenizer.ts';

/** A range of the stream that the client does not receive. */
interface Cut {
  readonly start: number;
  readonly end: number;
}

/** Most bytes that are held. An event that needs more is forwarded unchanged. */
const heldBytesMax = 8_192;

const nothing: readonly Buffer[] = [];
const empty = Buffer.alloc(0);

/**
 * Removes the report of usage that the client did not request from a stream of OpenAI's format: the event that has the
 * report and no choice, and `"usage":null` in all other events.
 *
 * Bytes are held only as long as they may have to be removed: from the start of an event until its first choice, and
 * from the end of a member of the event until the name of the next member. Servers write an event as a whole, so in
 * practice both end within the same chunk.
 */
export class HiddenUsage implements JsonSink {
  #held: Buffer = empty;
  /** Offset of the first byte that was not forwarded. */
  #forwardedTo = 0;
  readonly #cuts: Cut[] = [];

  #eventStart: number | null = null;
  /** The event was found not to be the report. */
  #isShown = false;
  #level = 0;
  #member = '';
  /** End of the last complete member of the event; null if the bytes after it need not be held. */
  #memberEnd: number | null = null;
  #hasUsage = false;
  /** End of the last event that was removed. */
  #hiddenEnd = -1;

  /** Forwards what may be forwarded after a chunk was read up to its end. The chunk follows the held bytes. */
  forward(chunk: Buffer, chunkEnd: number): readonly Buffer[] {
    const bytes = this.#held.length === 0 ? chunk : Buffer.concat([this.#held, chunk]);
    const from = chunkEnd - bytes.length;
    let to = this.#safeEnd(chunkEnd);
    if (chunkEnd - to > heldBytesMax) {
      this.#isShown = true;
      this.#memberEnd = null;
      to = chunkEnd;
    }
    return this.#release(bytes, from, to);
  }

  /** The stream has ended: forwards the held bytes, except those of an unfinished event that is the report. */
  end(streamEnd: number): readonly Buffer[] {
    if (this.#eventStart !== null) this.eventEnd(streamEnd);
    return this.#release(this.#held, streamEnd - this.#held.length, streamEnd);
  }

  /** Drops the held bytes of an event of which nothing was forwarded. False if a part of it was forwarded. */
  dropEvent(): boolean {
    if (this.#eventStart !== null && this.#forwardedTo > this.#eventStart) return false;
    this.#held = empty;
    return true;
  }

  eventStart(offset: number): void {
    this.#eventStart = offset;
    this.#isShown = false;
    this.#level = 0;
    this.#member = '';
    this.#memberEnd = null;
    this.#hasUsage = false;
  }

  /** The data of the event is not JSON, or `[DONE]`. */
  eventUnreadable(): void {
    this.#isShown = true;
    this.#memberEnd = null;
  }

  eventEnd(offset: number): void {
    if (this.#eventStart !== null && !this.#isShown && this.#hasUsage) {
      while ((this.#cuts.at(-1)?.start ?? -1) >= this.#eventStart) this.#cuts.pop();
      this.#cuts.push({ start: this.#eventStart, end: offset });
      this.#hiddenEnd = offset;
    }
    this.#eventStart = null;
    this.#memberEnd = null;
  }

  /** The second half of the line end after a removed event is removed too. */
  lineFeed(offset: number): void {
    if (offset === this.#hiddenEnd) this.#cuts.push({ start: offset, end: offset + 1 });
  }

  open(isArray: boolean): void {
    this.#beginValue(isArray, true);
    this.#level += 1;
  }

  close(end: number): void {
    this.#level -= 1;
    if (this.#level === 0) this.#memberEnd = null;
    else this.#endValue(end);
  }

  name(text: string | null): void {
    if (this.#level !== 1) return;
    this.#member = text ?? '';
    if (this.#member !== 'usage') this.#memberEnd = null;
  }

  string(_text: string | null, _textBytes: number, _start: number, end: number): void {
    this.#beginValue(false, false);
    this.#endValue(end);
  }

  scalar(text: string | null, _start: number, end: number): void {
    this.#beginValue(false, false);
    const isMember = this.#level === 1 && this.#member === 'usage';
    if (isMember && text === 'null' && this.#memberEnd !== null)
      this.#cuts.push({ start: this.#memberEnd, end });
    this.#endValue(end);
  }

  #beginValue(isArray: boolean, isContainer: boolean): void {
    if (this.#level === 1 && this.#member === 'usage') this.#hasUsage = isContainer && !isArray;
    else if (this.#level === 2 && this.#member === 'choices') this.#isShown = true;
    // The value is not null, so the bytes before it are not removed.
    if (this.#level === 1 && isContainer) this.#memberEnd = null;
  }

  #endValue(end: number): void {
    if (this.#level === 1) this.#memberEnd = end;
  }

  /** Offset up to which no byte can be removed by what follows. */
  #safeEnd(chunkEnd: number): number {
    if (this.#eventStart === null) return chunkEnd;
    if (!this.#isShown) return this.#eventStart;
    return this.#memberEnd ?? chunkEnd;
  }

  #release(bytes: Buffer, from: number, to: number): readonly Buffer[] {
    const parts: Buffer[] = [];
    let at = from;
    for (const { start, end } of this.#cuts) {
      if (start >= to) break;
      if (start > at) parts.push(bytes.subarray(at - from, start - from));
      at = Math.max(at, end);
    }
    if (to > at) parts.push(bytes.subarray(at - from, to - from));
    while (this.#cuts[0] !== undefined && this.#cuts[0].end <= to) this.#cuts.shift();
    this.#held = to === from + bytes.length ? empty : joinInOwnMemory(bytes.subarray(to - from), empty);
    this.#forwardedTo = to;
    return parts.length === 0 ? nothing : parts;
  }
}
