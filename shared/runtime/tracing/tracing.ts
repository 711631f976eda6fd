/** Values of the attributes of a span. */
export type SpanAttributes = Readonly<Record<string, string | number | boolean | string[]>>;

/**
 * The spans that one process writes. Code that writes spans gets `Tracing | null`: with null, traces are off and
 * nothing is computed for them.
 */
export interface Tracing {
  /**
   * Starts the span of a request. If the header fields name a trace (`traceparent`), the span belongs to it, and it is
   * recorded only if the caller records the trace. `receivedAt` is a value of `performance.now()`.
   */
  startRequest(headers: TraceHeaders, receivedAt?: number): RequestSpan;
  /**
   * Runs the work with a batch of records in a span. The span is recorded if a record belongs to a recorded trace: with
   * one such record, the span continues its trace; with several, the span begins a trace with links to theirs.
   */
  traceBatch<Result>(batch: TracedBatch, work: (steps: Steps) => Promise<Result>): Promise<Result>;
}

export type TraceHeaders = Readonly<Record<string, string | string[] | undefined>>;

export interface RequestSpan {
  /** The `traceparent` of this span; null if the span is not recorded. */
  readonly traceparent: string | null;
  /** Writes `traceparent` and `tracestate` into the header fields of a request that is forwarded. */
  writeHeaders(headers: Record<string, string | string[]>): void;
  describe(name: string, attributes: SpanAttributes): void;
  /** Ends the span with the status of the response. Only the first call has an effect. */
  end(status: number): void;
}

/** Records that are sent to a topic or were received from it. */
export interface TracedBatch {
  readonly operation: 'send' | 'process';
  readonly topic: string;
  readonly records: readonly TracedRecord[];
}

export interface TracedRecord {
  readonly value: Buffer | null;
  readonly headers?: Readonly<Record<string, string>>;
}

/** The span of a batch, whose work has steps with a span each. */
export interface Steps {
  /** The `traceparent` of the batch's span; null if the span is not recorded. */
  readonly traceparent: string | null;
  step<Result>(name: string, work: () => Promise<Result>): Promise<Result>;
}

/** Steps without spans. */
export const untraced: Steps = { traceparent: null, step: (_name, work) => work() };

/** Runs the work with a batch in a span, or without one if traces are off. */
export function traceBatch<Result>(
  tracing: Tracing | null,
  batch: TracedBatch,
  work: (steps: Steps) => Promise<Result>,
): Promise<Result> {
  return tracing === null ? work(untraced) : tracing.traceBatch(batch, work);
}
