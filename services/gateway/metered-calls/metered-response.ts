import { Transform } from 'node:stream';
import type { Readable, TransformCallback } from 'node:stream';
import { UsageReader } from '../usage/usage-reader.ts';
import type { ResponseHead } from '../usage/usage-reader.ts';
import type { MeteredCall } from './metered-call.ts';

/** The response of an upstream, as undici returns it. */
export interface UpstreamResponse extends ResponseHead {
  readonly body: Readable;
  readonly trailers: Record<string, string>;
}

/**
 * The body of a metered call's response on its way to the client. It reads the usage, reserves output in slices if the
 * policy cuts exhausted streams, and settles the call when the response has ended, for whatever reason it ended.
 */
export class MeteredResponse extends Transform {
  readonly reader: UsageReader;
  readonly #call: MeteredCall;
  readonly #response: UpstreamResponse;
  readonly #slices: Slices | null;

  constructor(call: MeteredCall, response: UpstreamResponse) {
    super();
    this.#call = call;
    this.#response = response;
    this.reader = new UsageReader(call.prepared, response);
    this.#slices = call.usage.onExhausted === 'cut' && this.reader.canCut ? new Slices(call) : null;
    // An error of a response that was ended early is the abort of the upstream.
    response.body.on('error', (error) => {
      if (!this.reader.isCut) this.destroy(error);
    });
    response.body.pipe(this);
  }

  override _transform(chunk: Buffer, _encoding: BufferEncoding, callback: TransformCallback): void {
    this.#forward(this.reader.push(chunk));
    if (this.reader.isCut) {
      this.#endEarly(callback);
      return;
    }
    const wait = this.#slices?.reserveFor(this.reader.deliveredTokens()) ?? this.reader.ready();
    if (wait === null) callback();
    else void wait.then((hasRoom) => this.#continue(hasRoom !== false, callback));
  }

  override _flush(callback: TransformCallback): void {
    this.reader.readTrailers(this.#response.trailers);
    this.#forward(this.reader.end());
    callback();
  }

  override _destroy(error: Error | null, callback: (error: Error | null) => void): void {
    this.#response.body.destroy();
    void this.reader.usage().then((usage) => this.#call.settle(usage, this.#response.status));
    callback(error);
  }

  #continue(hasRoom: boolean, callback: TransformCallback): void {
    if (!hasRoom) this.#forward(this.reader.cut());
    if (this.reader.isCut) this.#endEarly(callback);
    else callback();
  }

  /** Ends the response after its final events, and stops the upstream. */
  #endEarly(callback: TransformCallback): void {
    this.#response.body.unpipe(this);
    this.#response.body.destroy();
    callback();
    this.end();
  }

  #forward(chunks: readonly Buffer[]): void {
    for (const bytes of chunks) this.push(bytes);
  }
}

/**
 * Reserves the output of a stream in slices. The next slice is reserved while half of the current one is left, so that
 * the stream waits only if Redis is slow. Output that is not reserved is delivered at most until the end of the event in
 * which the reserved output ended.
 */
class Slices {
  readonly #call: MeteredCall;
  readonly #slice: number;
  #pending: Promise<boolean> | null = null;
  #isExhausted = false;

  constructor(call: MeteredCall) {
    this.#call = call;
    this.#slice = call.usage.slice;
  }

  /**
   * Returns null while the delivered output is reserved; otherwise a promise of whether the stream may continue.
   */
  reserveFor(delivered: number): Promise<boolean> | null {
    const reserved = this.#call.reserved['output_tokens'] ?? 0;
    const left = reserved - delivered;
    if (left < this.#slice / 2 && this.#pending === null && !this.#isExhausted) {
      const next = Math.max(reserved, delivered) + this.#slice;
      this.#pending = this.#extend({ ...this.#call.reserved, output_tokens: next });
    }
    if (left > 0) return null;
    return this.#pending ?? Promise.resolve(!this.#isExhausted);
  }

  async #extend(measures: Parameters<MeteredCall['extend']>[0]): Promise<boolean> {
    const passed = await this.#call.extend(measures);
    this.#pending = null;
    this.#isExhausted = !passed;
    return passed;
  }
}
