/** Receives the parts of an event stream. Offsets count the bytes of the stream. */
export interface EventSink {
  /** The first line of an event begins, comments excepted. */
  eventStart(offset: number): void;
  /** Bytes of the event's data. The line end between two data lines is passed as one line feed. */
  data(bytes: Buffer, from: number, to: number, base: number): void;
  /** The blank line that ends the event has arrived; `offset` is that of the next byte. */
  eventEnd(offset: number): void;
  /** The line feed of a line end `\r\n` follows, after the carriage return that ended a line. */
  lineFeed(offset: number): void;
}

const lineFeed = 0x0a;
const carriageReturn = 0x0d;
const colon = 0x3a;
const space = 0x20;
const dataName = Buffer.from('data');
const byteOrderMark = Buffer.from([0xef, 0xbb, 0xbf]);
const lineBreak = Buffer.from('\n');

/** The part of a line to which the next byte belongs. */
type Part = 'start' | 'name' | 'space' | 'data' | 'ignored';

/**
 * Splits an event stream (text/event-stream, HTML standard, 9.2.6) that arrives in chunks. Nothing is stored: the bytes
 * of the data are passed on at once, so the length of a line needs no bound.
 */
export class EventSplitter {
  readonly #sink: EventSink;
  #part: Part = 'start';
  #offset = 0;
  /** Bytes of the byte order mark that were read; null when the mark has been read or is absent. */
  #markBytes: number | null = 0;
  #isAfterReturn = false;
  /** The chunk contains a carriage return. */
  #hasReturn = false;
  #isEventOpen = false;
  #hasData = false;
  /** Number of bytes of the field's name that match `data`; -1 after a byte that does not match. */
  #nameBytes = 0;

  constructor(sink: EventSink) {
    this.#sink = sink;
  }

  /**
   * Reads a chunk and returns the index after the last byte it read. With `stopAtEventEnd` that is the end of the first
   * event that ends in this chunk.
   */
  push(chunk: Buffer, stopAtEventEnd: boolean): number {
    const base = this.#offset;
    this.#hasReturn = chunk.includes(carriageReturn);
    let at = this.#markBytes === null ? 0 : this.#skipMark(chunk);
    while (at < chunk.length) {
      if (this.#part === 'data' || this.#part === 'ignored') {
        at = this.#readUntilLineEnd(chunk, at, base);
        continue;
      }
      const wasOpen = this.#isEventOpen;
      at = this.#readByte(chunk, at, base);
      if (stopAtEventEnd && wasOpen && !this.#isEventOpen) break;
    }
    this.#offset = base + at;
    return at;
  }

  /** Number of bytes that were read. */
  get offset(): number {
    return this.#offset;
  }

  /** True between two events. */
  get isBetweenEvents(): boolean {
    return !this.#isEventOpen && this.#part === 'start';
  }

  #skipMark(chunk: Buffer): number {
    let at = 0;
    while (at < chunk.length && this.#markBytes !== null) {
      // A part of a mark that is not continued is the name of an unknown field.
      if (chunk[at] !== byteOrderMark[this.#markBytes]) {
        this.#markBytes = null;
        return at;
      }
      at += 1;
      this.#markBytes = this.#markBytes === 2 ? null : this.#markBytes + 1;
    }
    return at;
  }

  #readUntilLineEnd(chunk: Buffer, from: number, base: number): number {
    const at = this.#lineEnd(chunk, from);
    if (this.#part === 'data' && at > from) this.#sink.data(chunk, from, at, base);
    if (at === chunk.length) return at;
    this.#endLine(chunk[at] === carriageReturn);
    return at + 1;
  }

  #lineEnd(chunk: Buffer, from: number): number {
    let at = from;
    if (this.#hasReturn) {
      while (at < chunk.length && chunk[at] !== lineFeed && chunk[at] !== carriageReturn) at += 1;
      return at;
    }
    at = chunk.indexOf(lineFeed, from);
    return at === -1 ? chunk.length : at;
  }

  /** Reads one byte at the start of a line or in the name of a field; returns the index of the next one. */
  #readByte(chunk: Buffer, at: number, base: number): number {
    const byte = chunk[at] ?? 0;
    const isLineEnd = byte === lineFeed || byte === carriageReturn;
    if (this.#part === 'start') {
      const isSecondHalf = byte === lineFeed && this.#isAfterReturn;
      this.#isAfterReturn = false;
      if (isSecondHalf) {
        this.#sink.lineFeed(base + at);
        return at + 1;
      }
      if (isLineEnd) {
        this.#isAfterReturn = byte === carriageReturn;
        this.#endEvent(base + at + 1);
        return at + 1;
      }
      if (byte === colon) this.#part = 'ignored';
      else this.#beginField(byte, base + at);
      return at + 1;
    }
    if (this.#part === 'space') {
      this.#part = 'data';
      return byte === space ? at + 1 : at;
    }
    if (isLineEnd || byte === colon) {
      const isData = this.#nameBytes === dataName.length;
      if (isData) this.#beginData(base + at);
      if (isLineEnd) this.#endLine(byte === carriageReturn);
      else this.#part = isData ? 'space' : 'ignored';
    } else {
      this.#matchName(byte);
    }
    return at + 1;
  }

  #beginField(byte: number, offset: number): void {
    if (!this.#isEventOpen) {
      this.#isEventOpen = true;
      this.#hasData = false;
      this.#sink.eventStart(offset);
    }
    this.#part = 'name';
    this.#nameBytes = 0;
    this.#matchName(byte);
  }

  #matchName(byte: number): void {
    const matches = this.#nameBytes >= 0 && byte === dataName[this.#nameBytes];
    this.#nameBytes = matches ? this.#nameBytes + 1 : -1;
  }

  #beginData(offset: number): void {
    if (this.#hasData) this.#sink.data(lineBreak, 0, 1, offset);
    this.#hasData = true;
  }

  #endLine(isReturn: boolean): void {
    this.#part = 'start';
    this.#isAfterReturn = isReturn;
  }

  #endEvent(offset: number): void {
    if (!this.#isEventOpen) return;
    this.#isEventOpen = false;
    this.#sink.eventEnd(offset);
  }
}
