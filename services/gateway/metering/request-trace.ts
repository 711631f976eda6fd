import type { RequestSpan, SpanAttributes } from '../../../shared/runtime/tracing/tracing.ts';

/**
 * The span of one request. It ends when the event of the request is written, or, if an entrypoint calls `hold`, when
 * the entrypoint calls `end`.
 */
export class RequestTrace {
  readonly #span: RequestSpan;
  #isHeld = false;

  constructor(span: RequestSpan) {
    this.#span = span;
  }

  /** The `traceparent` of the event; null if the request is not recorded. */
  get traceparent(): string | null {
    return this.#span.traceparent;
  }

  writeHeaders(headers: Record<string, string | string[]>): void {
    this.#span.writeHeaders(headers);
  }

  /** Keeps the span open until `end`, for an entrypoint that sends the response of an upstream. */
  hold(): void {
    this.#isHeld = true;
  }

  describe(name: string, attributes: SpanAttributes): void {
    this.#span.describe(name, attributes);
  }

  /** Ends the span, unless an entrypoint holds it. */
  endUnlessHeld(status: number): void {
    if (!this.#isHeld) this.#span.end(status);
  }

  end(status: number): void {
    this.#span.end(status);
  }
}
