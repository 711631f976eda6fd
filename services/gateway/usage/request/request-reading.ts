import { JsonTokenizer } from '../json/tokenizer.ts';
import type { JsonSink } from '../json/tokenizer.ts';
import { MediaParts, isMedia, mediaNames } from './media.ts';
import { factorNames, foldName, limitNames, limitOf, storedNames } from './request-members.ts';

const nameBytesMax = 128;
const valueBytesMax = 512;

export interface Range {
  readonly start: number;
  readonly end: number;
}

export interface StreamOptions extends Range {
  readonly isObject: boolean;
  hasMembers: boolean;
  /** The value of `include_usage`. */
  includeUsage: (Range & { readonly text: string | null }) | null;
}

/** What a request says about its own size, in one pass over its body. */
export class RequestReading implements JsonSink {
  readonly media = new MediaParts();
  /** Texts of all members with this meaning; a member may occur more than once. */
  readonly models: (string | null)[] = [];
  readonly streams: string[] = [];
  readonly streamOptions: StreamOptions[] = [];
  /** The largest limit of the output; null if there is none. */
  limit: number | null = null;
  /** A limit is set to a value that a server may read as "no limit". */
  isUnlimited = false;
  hasUnreadableLimit = false;
  factor = 1;
  /** Prompts of a completion: each has an output of its own. */
  prompts = 0;
  /** Tokens that are sent as numbers. */
  tokenIds = 0;
  textBytes = 0;
  isObject = false;
  /** Offset of the brace that ends the body. */
  objectEnd = 0;

  readonly #bytes: Buffer;
  readonly #tokenizer: JsonTokenizer;
  #level = 0;
  /** The member of the body that is being read, and the innermost member. */
  #member = '';
  #name = '';

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
    this.#tokenizer = new JsonTokenizer(this);
    this.#tokenizer.nameBytesMax = nameBytesMax;
  }

  /** Reads the body; false if it is not JSON. */
  read(): boolean {
    const start = this.#bytes.subarray(0, 3).equals(byteOrderMark) ? 3 : 0;
    this.#tokenizer.push(this.#bytes, start, this.#bytes.length, 0);
    this.#tokenizer.end(this.#bytes.length);
    return this.#tokenizer.isComplete;
  }

  open(isArray: boolean, start: number): void {
    this.textBytes += 1;
    if (this.#level === 0) this.isObject = !isArray;
    if (this.#level === 1) this.#readMember(null, false, { start, end: start }, !isArray);
    if (this.#level === 2 && isArray && this.#member === 'prompt') this.prompts += 1;
    this.#level += 1;
    this.media.open(isArray);
    this.#name = '';
    this.#tokenizer.valueBytesMax = 0;
  }

  close(end: number): void {
    this.textBytes += 2;
    this.#level -= 1;
    this.media.close();
    this.#name = '';
    this.#tokenizer.valueBytesMax = 0;
    if (this.#level === 0) this.objectEnd = end - 1;
  }

  name(text: string | null, start: number, end: number): void {
    this.textBytes += end - start + 1;
    this.#name = text === null ? '' : foldName(text);
    if (this.#level === 1) this.#member = this.#name;
    const options = this.streamOptions.at(-1);
    if (this.#level === 2 && this.#member === 'stream_options' && options !== undefined)
      options.hasMembers = true;
    const isRead = this.#level === 1 || this.#name === 'type' || this.#name === 'include_usage';
    this.#tokenizer.valueBytesMax = isRead ? valueBytesMax : 0;
  }

  string(text: string | null, textBytes: number, start: number, end: number): void {
    if (mediaNames.has(this.#name) && isMedia(this.#bytes, start + 1, end - 1))
      this.media.addMedia(textBytes);
    else this.textBytes += textBytes;
    this.textBytes += 3;
    if (this.#name === 'type') this.media.type(text);
    if (this.#level === 2 && this.#name === '' && this.#member === 'prompt') this.prompts += 1;
    this.#readScalar(text, true, { start, end });
  }

  scalar(text: string | null, start: number, end: number): void {
    if (this.#isTokenId()) this.tokenIds += 1;
    else this.textBytes += end - start + 1;
    this.#readScalar(text, false, { start, end });
  }

  /** A number in the array `input` or `prompt`, or in an array of this array. */
  #isTokenId(): boolean {
    const isInput = this.#member === 'input' || this.#member === 'prompt';
    return isInput && this.#name === '' && (this.#level === 2 || this.#level === 3);
  }

  #readScalar(text: string | null, isString: boolean, range: Range): void {
    if (this.#level === 1) this.#readMember(text, isString, range, false);
    const options = this.streamOptions.at(-1);
    const isOption = this.#level === 2 && this.#member === 'stream_options' && options?.isObject === true;
    if (isOption && this.#name === 'include_usage') {
      options.includeUsage = { ...range, text: isString ? `"${text ?? ''}"` : text };
    }
    this.#tokenizer.valueBytesMax = 0;
  }

  /** Reads a member of the body. `text` is null for an object, an array, or a value that is too long. */
  #readMember(text: string | null, isString: boolean, range: Range, isObject: boolean): void {
    const isNull = text === 'null' && !isString;
    const member = this.#member;
    if (member === 'model') this.models.push(isString ? text : null);
    else if (member === 'stream') this.streams.push(text ?? 'object');
    else if (member === 'stream_options') {
      this.streamOptions.push({ ...range, isObject, hasMembers: false, includeUsage: null });
    } else if (isNull) return;
    else if (limitNames.has(member)) this.#readLimit(text);
    else if (factorNames.has(member)) this.factor = Math.max(this.factor, limitOf(text ?? '') ?? 1);
    else if (storedNames.has(member) || (member === 'prompt' && isObject))
      this.media.addPart('stored_context');
  }

  #readLimit(text: string | null): void {
    if (text === null) {
      this.hasUnreadableLimit = true;
      return;
    }
    const limit = limitOf(text);
    if (limit === null) this.isUnlimited = true;
    else this.limit = Math.max(this.limit ?? 0, limit);
  }
}

const byteOrderMark = Buffer.from([0xef, 0xbb, 0xbf]);
