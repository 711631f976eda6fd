import { joinInOwnMemory } from '../own-memory.ts';

const quote = 0x22;
const backslash = 0x5c;
const firstPrintable = 0x20;
const unicodeEscape = 0x75;
const hexDigits = 4;

const simpleEscapes = new Uint8Array(256);
for (const byte of Buffer.from('"\\/bfnrt')) simpleEscapes[byte] = 1;

const empty = Buffer.alloc(0);

/**
 * Reads one JSON string that arrives in chunks, from the byte after its opening quote. Counts the bytes of its text in
 * UTF-8, and stores at most `bytesMax` bytes of its source.
 */
export class StringReader {
  textBytes = 0;
  /** The text of a complete string; null if its source is longer than `bytesMax`. */
  text: string | null = null;
  isComplete = false;
  isInvalid = false;

  #bytesMax = 0;
  #stored: Buffer = empty;
  #isTooLong = false;
  #hasEscape = false;
  /** The previous byte was a backslash. */
  #isEscape = false;
  #hexLeft = 0;
  #code = 0;

  begin(bytesMax: number): void {
    this.textBytes = 0;
    this.text = null;
    this.isComplete = false;
    this.isInvalid = false;
    this.#bytesMax = bytesMax;
    this.#stored = empty;
    this.#isTooLong = false;
    this.#hasEscape = false;
    this.#isEscape = false;
    this.#hexLeft = 0;
  }

  /** Reads up to the closing quote or to the end of the chunk, and returns the index after the last byte it read. */
  read(bytes: Buffer, from: number, to: number): number {
    let at = from;
    while (at < to) {
      if (this.#isEscape || this.#hexLeft > 0) {
        this.#readEscape(bytes[at] ?? 0);
        if (this.isInvalid) return at;
        at += 1;
        continue;
      }
      const start = at;
      let byte = 0;
      while (at < to) {
        byte = bytes[at] ?? 0;
        if (byte === quote || byte === backslash || byte < firstPrintable) break;
        at += 1;
      }
      this.textBytes += at - start;
      if (at === to) break;
      if (byte === quote) {
        this.#complete(bytes, from, at);
        return at + 1;
      }
      this.isInvalid = byte !== backslash;
      if (this.isInvalid) return at;
      this.#isEscape = true;
      this.#hasEscape = true;
      at += 1;
    }
    this.#store(bytes, from, to);
    return to;
  }

  #complete(bytes: Buffer, from: number, to: number): void {
    this.isComplete = true;
    if (this.#bytesMax === 0 || this.#isTooLong || this.#stored.length + to - from > this.#bytesMax) return;
    const source =
      this.#stored.length === 0
        ? bytes.toString('utf8', from, to)
        : Buffer.concat([this.#stored, bytes.subarray(from, to)]).toString();
    this.#stored = empty;
    this.text = this.#hasEscape ? (JSON.parse(`"${source}"`) as string) : source;
  }

  #readEscape(byte: number): void {
    if (this.#isEscape) {
      this.#isEscape = false;
      if (byte === unicodeEscape) {
        this.#hexLeft = hexDigits;
        this.#code = 0;
      } else {
        this.isInvalid = simpleEscapes[byte] !== 1;
        this.textBytes += 1;
      }
      return;
    }
    const digit = hexValue(byte);
    this.isInvalid = digit < 0;
    this.#code = this.#code * 16 + digit;
    this.#hexLeft -= 1;
    if (this.#hexLeft === 0) this.textBytes += utf8Bytes(this.#code);
  }

  #store(bytes: Buffer, from: number, to: number): void {
    if (this.#bytesMax === 0 || this.#isTooLong || from === to) return;
    if (this.#stored.length + to - from > this.#bytesMax) {
      this.#isTooLong = true;
      this.#stored = empty;
      return;
    }
    this.#stored = joinInOwnMemory(this.#stored, bytes.subarray(from, to));
  }
}

function hexValue(byte: number): number {
  if (byte >= 0x30 && byte <= 0x39) return byte - 0x30;
  const letter = byte | 0x20;
  return letter >= 0x61 && letter <= 0x66 ? letter - 0x57 : -1;
}

/** Bytes of a UTF-16 code unit in UTF-8. The halves of a surrogate pair have two bytes each. */
function utf8Bytes(code: number): number {
  if (code < 0x80) return 1;
  if (code < 0x800) return 2;
  return code >= 0xd800 && code <= 0xdfff ? 2 : 3;
}
