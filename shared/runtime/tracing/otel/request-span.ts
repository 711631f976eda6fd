import { ROOT_CONTEXT, SpanStatusCode, TraceFlags, defaultTextMapSetter, trace } from '@opentelemetry/api';
import type { Span } from '@opentelemetry/api';
import { W3CTraceContextPropagator } from '@opentelemetry/core';
import { ATTR_ERROR_TYPE, ATTR_HTTP_RESPONSE_STATUS_CODE } from '@opentelemetry/semantic-conventions';
import type { RequestSpan, SpanAttributes } from '../tracing.ts';

export const traceContext = new W3CTraceContextPropagator();

export class OtelRequestSpan implements RequestSpan {
  readonly #span: Span;
  #isEnded = false;

  constructor(span: Span) {
    this.#span = span;
  }

  get traceparent(): string | null {
    return traceparentOfSpan(this.#span);
  }

  writeHeaders(headers: Record<string, string | string[]>): void {
    // The state belongs to the caller's `traceparent`: without one that can be read, it is dropped.
    delete headers['tracestate'];
    traceContext.inject(trace.setSpan(ROOT_CONTEXT, this.#span), headers, defaultTextMapSetter);
  }

  describe(name: string, attributes: SpanAttributes): void {
    this.#span.updateName(name).setAttributes(attributes);
  }

  end(status: number): void {
    if (this.#isEnded) return;
    this.#isEnded = true;
    this.#span.setAttribute(ATTR_HTTP_RESPONSE_STATUS_CODE, status);
    if (status >= 500) {
      this.#span.setAttribute(ATTR_ERROR_TYPE, String(status)).setStatus({ code: SpanStatusCode.ERROR });
    }
    this.#span.end();
  }
}

/** The `traceparent` of a span; null if the span is not recorded. */
export function traceparentOfSpan(span: Span): string | null {
  const { traceId, spanId, traceFlags } = span.spanContext();
  return (traceFlags & TraceFlags.SAMPLED) === 0 ? null : `00-${traceId}-${spanId}-01`;
}
