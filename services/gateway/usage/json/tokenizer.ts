import { beginsScalar, isBlank, isScalar, isScalarByte } from './scalars.ts';
import { StringReader } from './strings.ts';

/** Receives the tokens of a JSON text, with the offsets of their first byte and of the byte after them. */
export interface JsonSink {
  open(isArray: boolean, start: number): void;
  close(end: number): void;
  /** The name of a member; null if it is longer than `nameBytesMax`. */
  name(text: string | null, start: number, end: number): void;
  /** A string; `text` is null if it is longer than `valueBytesMax`. `textBytes` are its bytes in UTF-8. */
  string(text: string | null, textBytes: number, start: number, end: number): void;
  /** A number, `true`, `false` or `null`; `text` is null if it is longer than `valueBytesMax`. */
  scalar(text: string | null, start: number, end: number): void;
}

const quote = 0x22;
const comma = 0x2c;
const colon = 0x3a;
const [openBracket, closeBracket] = [0x5b, 0x5d];
const [openBrace, closeBrace] = [0x7b, 0x7d];

/** What the next byte that is not whitespace may be. */
const value = 0;
const firstElement = 1;
const firstName = 2;
const nextName = 3;
const afterName = 4;
const afterValue = 5;
const inName = 6;
const inString = 7;
const inScalar = 8;
const complete = 9;
const invalid = 10;

const levelsMax = 512;

/**
 * Reads JSON that arrives in chunks, in constant memory: a token is passed on when its last byte has arrived, and no
 * value is stored unless the sink requests its text. The grammar is that of RFC 8259, except that the digits of a number
 * are checked only if its text is requested.
 */
export class JsonTokenizer {
  /** Longest name and longest string whose text the sink receives. The sink changes them between tokens. */
  nameBytesMax = 0;
  valueBytesMax = 0;

  readonly #sink: JsonSink;
  readonly #string = new StringReader();
  #state = value;
  #levels = 0;
  /** One byte for each open level: 1 for an array. */
  readonly #isArray = new Uint8Array(levelsMax);
  #tokenStart = 0;
  /** The part of a number or literal that arrived in earlier chunks; null if its text is too long or not requested. */
  #scalar: string | null = null;

  constructor(sink: JsonSink) {
    this.#sink = sink;
  }

  /**
   * Reads the bytes `from` ≤ index < `to`. The offset of a byte is `base` plus its index. Does nothing after a violation
   * of the grammar.
   */
  push(bytes: Buffer, from: number, to: number, base: number): void {
    let at = from;
    while (at < to && this.#state !== invalid) {
      if (this.#state === inString || this.#state === inName) {
        at = this.#readString(bytes, at, to, base);
      } else if (this.#state === inScalar) {
        at = this.#readScalar(bytes, at, to, base);
      } else {
        const byte = bytes[at] ?? 0;
        if (!isBlank(byte)) this.#readStructure(byte, base + at);
        // The first byte of a number or literal is read again, as a part of it.
        if (this.#state !== inScalar) at += 1;
      }
    }
  }

  /**
   * Ends the text at an offset. A number at the top level has no other end. A number in an object or array is cut off here: its
   * other digits did not arrive, so it is not passed on.
   */
  end(offset: number): void {
    if (this.#state === inScalar && this.#levels === 0) this.#endScalar(this.#scalar, offset);
  }

  /** Prepares for another text. */
  reset(): void {
    this.#state = value;
    this.#levels = 0;
    this.#string.begin(0);
  }

  get isComplete(): boolean {
    return this.#state === complete;
  }

  get isInvalid(): boolean {
    return this.#state === invalid;
  }

  /** Bytes of text of a string value of which only a part has arrived. */
  get partialTextBytes(): number {
    return this.#state === inString ? this.#string.textBytes : 0;
  }

  #readStructure(byte: number, offset: number): void {
    switch (this.#state) {
      case firstElement:
        if (byte === closeBracket) this.#close(offset + 1);
        else this.#beginValue(byte, offset);
        return;
      case value:
        this.#beginValue(byte, offset);
        return;
      case firstName:
        if (byte === closeBrace) this.#close(offset + 1);
        else this.#beginName(byte, offset);
        return;
      case nextName:
        this.#beginName(byte, offset);
        return;
      case afterName:
        this.#state = byte === colon ? value : invalid;
        return;
      case afterValue:
        this.#continueContainer(byte, offset);
        return;
      default:
        this.#state = invalid;
    }
  }

  #beginValue(byte: number, offset: number): void {
    this.#tokenStart = offset;
    if (byte === quote) {
      this.#state = inString;
      this.#string.begin(this.valueBytesMax);
    } else if (byte === openBrace || byte === openBracket) {
      this.#open(byte === openBracket, offset);
    } else {
      this.#scalar = this.valueBytesMax === 0 ? null : '';
      this.#state = beginsScalar(byte) ? inScalar : invalid;
    }
  }

  #beginName(byte: number, offset: number): void {
    this.#tokenStart = offset;
    this.#string.begin(this.nameBytesMax);
    this.#state = byte === quote ? inName : invalid;
  }

  #open(isArray: boolean, offset: number): void {
    if (this.#levels === levelsMax) {
      this.#state = invalid;
      return;
    }
    this.#isArray[this.#levels] = isArray ? 1 : 0;
    this.#levels += 1;
    this.#state = isArray ? firstElement : firstName;
    this.#sink.open(isArray, offset);
  }

  #continueContainer(byte: number, offset: number): void {
    const isArray = this.#isArray[this.#levels - 1] === 1;
    if (byte === comma) this.#state = isArray ? value : nextName;
    else if (byte === (isArray ? closeBracket : closeBrace)) this.#close(offset + 1);
    else this.#state = invalid;
  }

  #close(end: number): void {
    this.#levels -= 1;
    this.#endValue();
    this.#sink.close(end);
  }

  #endValue(): void {
    this.#state = this.#levels === 0 ? complete : afterValue;
  }

  #readString(bytes: Buffer, from: number, to: number, base: number): number {
    const string = this.#string;
    const next = string.read(bytes, from, to);
    if (string.isInvalid) {
      this.#state = invalid;
    } else if (string.isComplete) {
      if (this.#state === inName) {
        this.#state = afterName;
        this.#sink.name(string.text, this.#tokenStart, base + next);
      } else {
        this.#endValue();
        this.#sink.string(string.text, string.textBytes, this.#tokenStart, base + next);
      }
    }
    return next;
  }

  #readScalar(bytes: Buffer, from: number, to: number, base: number): number {
    let at = from;
    while (at < to && isScalarByte(bytes[at] ?? 0)) at += 1;
    let text = this.#scalar;
    if (text !== null)
      text = text.length + at - from > this.valueBytesMax ? null : text + bytes.toString('latin1', from, at);
    if (at < to) this.#endScalar(text, base + at);
    else this.#scalar = text;
    return at;
  }

  #endScalar(text: string | null, end: number): void {
    if (text !== null && !isScalar(text)) {
      this.#state = invalid;
      return;
    }
    this.#endValue();
    this.#sink.scalar(text, this.#tokenStart, end);
  }
}
