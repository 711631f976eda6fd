import type { PointerNode } from '../json/pointers.ts';
import { PointerMatcher } from '../json/pointers.ts';
import { JsonTokenizer } from '../json/tokenizer.ts';
import type { ReportReceiver } from './report-receiver.ts';
import type { ResponseReading } from './response-reading.ts';

/** Reads a response that is one JSON text. */
export class BodyReading implements ResponseReading {
  readonly isBetweenEvents = false;
  readonly #receiver: ReportReceiver;
  readonly #matcher: PointerMatcher;
  readonly #tokenizer: JsonTokenizer;
  #offset = 0;

  constructor(selected: PointerNode, receiver: ReportReceiver) {
    this.#receiver = receiver;
    this.#matcher = new PointerMatcher(selected, receiver);
    this.#tokenizer = new JsonTokenizer(this.#matcher);
    this.#matcher.begin(this.#tokenizer);
  }

  push(chunk: Buffer): number {
    this.#tokenizer.push(chunk, 0, chunk.length, this.#offset);
    this.#offset += chunk.length;
    return chunk.length;
  }

  end(): void {
    this.#tokenizer.end(this.#offset);
    if (this.#tokenizer.isInvalid) this.#receiver.violations.add('not_json');
  }

  get isComplete(): boolean {
    return this.#tokenizer.isComplete;
  }

  deliveredBytes(): number {
    return this.#receiver.textBytes + (this.#matcher.isText ? this.#tokenizer.partialTextBytes : 0);
  }
}
