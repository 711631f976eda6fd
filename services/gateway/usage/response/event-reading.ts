import { PointerMatcher } from '../json/pointers.ts';
import type { PointerNode } from '../json/pointers.ts';
import { JsonTokenizer } from '../json/tokenizer.ts';
import type { JsonSink } from '../json/tokenizer.ts';
import { EventSplitter } from './event-splitter.ts';
import type { EventSink } from './event-splitter.ts';
import type { HiddenUsage } from './hidden-usage.ts';
import type { ReportReceiver } from './report-receiver.ts';
import type { ResponseReading } from './response-reading.ts';

/** The data of the event that ends OpenAI's streams. */
const doneText = '[DONE]';
const openBracket = 0x5b;
/** In place of the beginning of other data, which need not be stored. */
const notDone = '.'.repeat(doneText.length + 1);

/** Reads a response that is a stream of events with JSON. */
export class EventReading implements ResponseReading, EventSink {
  readonly #receiver: ReportReceiver;
  readonly #hidden: HiddenUsage | null;
  readonly #splitter = new EventSplitter(this);
  readonly #matcher: PointerMatcher;
  readonly #tokenizer: JsonTokenizer;
  /** The beginning of the event's data, at most one byte longer than `[DONE]`. */
  #beginning = '';
  #hasEnded = false;

  constructor(selected: PointerNode, receiver: ReportReceiver, hidden: HiddenUsage | null) {
    this.#receiver = receiver;
    this.#hidden = hidden;
    this.#matcher = new PointerMatcher(selected, receiver);
    this.#tokenizer = new JsonTokenizer(hidden === null ? this.#matcher : both(this.#matcher, hidden));
    this.#matcher.begin(this.#tokenizer);
  }

  push(chunk: Buffer, stopAtEventEnd: boolean): number {
    return this.#splitter.push(chunk, stopAtEventEnd);
  }

  /** A last event without its blank line is read, because some servers end their streams so. */
  end(): void {
    if (this.#beginning !== '') this.eventEnd(this.#splitter.offset);
    this.#hasEnded = true;
  }

  get isComplete(): boolean {
    return this.#receiver.progress.isComplete || (this.#receiver.progress.endsWithResponse && this.#hasEnded);
  }

  get isBetweenEvents(): boolean {
    return this.#splitter.isBetweenEvents;
  }

  deliveredBytes(): number {
    return this.#receiver.textBytes + (this.#matcher.isText ? this.#tokenizer.partialTextBytes : 0);
  }

  eventStart(offset: number): void {
    this.#hidden?.eventStart(offset);
  }

  data(bytes: Buffer, from: number, to: number, base: number): void {
    if (this.#beginning === '' && bytes[from] !== openBracket) this.#beginning = notDone;
    const missing = doneText.length + 1 - this.#beginning.length;
    if (missing > 0) this.#beginning += bytes.toString('latin1', from, Math.min(to, from + missing));
    this.#tokenizer.push(bytes, from, to, base);
    if (this.#tokenizer.isInvalid) this.#hidden?.eventUnreadable();
  }

  eventEnd(offset: number): void {
    this.#tokenizer.end(offset);
    this.#hidden?.eventEnd(offset);
    if (this.#beginning === doneText) this.#receiver.progress.endStream();
    else if (this.#beginning !== '' && !this.#tokenizer.isComplete) this.#receiver.violations.add('not_json');
    this.#receiver.endEvent();
    this.#beginning = '';
    this.#tokenizer.reset();
    this.#matcher.begin(this.#tokenizer);
  }

  lineFeed(offset: number): void {
    this.#hidden?.lineFeed(offset);
  }
}

function both(first: PointerMatcher, second: JsonSink): JsonSink {
  return {
    open: (isArray, start) => {
      first.open(isArray);
      second.open(isArray, start);
    },
    close: (end) => {
      first.close();
      second.close(end);
    },
    name: (text, start, end) => {
      first.name(text);
      second.name(text, start, end);
    },
    string: (text, textBytes, start, end) => {
      first.string(text, textBytes);
      second.string(text, textBytes, start, end);
    },
    scalar: (text, start, end) => {
      first.scalar(text);
      second.scalar(text, start, end);
    },
  };
}
