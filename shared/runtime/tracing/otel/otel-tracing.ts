import { ROOT_CONTEXT, SpanKind, SpanStatusCode, defaultTextMapGetter, trace } from '@opentelemetry/api';
import type { Context, Link, Span, Tracer } from '@opentelemetry/api';
import { parseKeyPairsIntoRecord, parseTraceParent } from '@opentelemetry/core';
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-proto';
import { defaultResource, resourceFromAttributes } from '@opentelemetry/resources';
import { BatchSpanProcessor, ParentBasedSampler, TracerProvider } from '@opentelemetry/sdk-trace';
import {
  ATTR_ERROR_TYPE,
  ATTR_SERVICE_INSTANCE_ID,
  ATTR_SERVICE_NAME,
  ATTR_SERVICE_NAMESPACE,
} from '@opentelemetry/semantic-conventions';
import { messageOf } from '../../errors.ts';
import type { Logger } from '../../logger.ts';
import { traceparentOf } from '../record-traces.ts';
import type { Steps, TracedBatch, Tracing } from '../tracing.ts';
import { untraced } from '../tracing.ts';
import { LinkedSampler } from './linked-sampler.ts';
import { OtelRequestSpan, traceContext, traceparentOfSpan } from './request-span.ts';
import { ReportingExporter } from './reporting-exporter.ts';

export interface OtelTracingOptions {
  readonly service: string;
  readonly instance: string;
  /** URL of the collector, without the path of the traces. */
  readonly endpoint: string;
  /** Header fields as `NAME=VALUE,NAME=VALUE`. */
  readonly headers: string;
  /** Attributes as `NAME=VALUE,NAME=VALUE`. */
  readonly resourceAttributes: string;
  readonly newTraceShare: number;
  readonly logger: Logger;
}

/** Longest time of one export, with its retries. */
const exportTimeoutMs = 5_000;
/** The SDK drops further links of a span. */
const linksMax = 128;

/** Writes spans with the SDK of OpenTelemetry, which exports them in batches and drops spans beyond its queue. */
export function createTracing(options: OtelTracingOptions): Tracing & { close(): Promise<void> } {
  const provider = createProvider(options);
  const tracer = provider.getTracer('tollgate');
  return {
    startRequest(headers, receivedAt) {
      const parent = traceContext.extract(ROOT_CONTEXT, headers, defaultTextMapGetter);
      const kind = SpanKind.SERVER;
      const start = receivedAt === undefined ? { kind } : { kind, startTime: receivedAt };
      return new OtelRequestSpan(tracer.startSpan('request', start, parent));
    },
    traceBatch: (batch, work) => {
      const links = linksOf(batch);
      return links.length === 0 ? work(untraced) : runBatch(tracer, batch, links, work);
    },
    close: () => provider.shutdown(),
  };
}

function createProvider(options: OtelTracingOptions): TracerProvider {
  const { service, instance, endpoint, headers, resourceAttributes, newTraceShare, logger } = options;
  const exporter = new OTLPTraceExporter({
    url: new URL('v1/traces', endpoint.endsWith('/') ? endpoint : `${endpoint}/`).href,
    headers: parseKeyPairsIntoRecord(headers),
    timeoutMillis: exportTimeoutMs,
  });
  return new TracerProvider({
    resource: defaultResource()
      .merge(
        resourceFromAttributes({
          [ATTR_SERVICE_NAME]: `tollgate-${service}`,
          [ATTR_SERVICE_NAMESPACE]: 'tollgate',
          [ATTR_SERVICE_INSTANCE_ID]: instance,
        }),
      )
      .merge(resourceFromAttributes(parseKeyPairsIntoRecord(resourceAttributes))),
    sampler: new ParentBasedSampler({ root: new LinkedSampler(newTraceShare) }),
    spanProcessors: [new BatchSpanProcessor({ exporter: new ReportingExporter(exporter, logger) })],
  });
}

/** The recorded traces of the records, without repetition. */
function linksOf({ records }: TracedBatch): readonly Link[] {
  const links = new Map<string, Link>();
  for (const record of records) {
    const traceparent = traceparentOf(record);
    if (traceparent === null || links.has(traceparent)) continue;
    const context = parseTraceParent(traceparent);
    if (context === null || (context.traceFlags & 1) === 0) continue;
    links.set(traceparent, { context: { ...context, isRemote: true } });
    if (links.size === linksMax) break;
  }
  return [...links.values()];
}

async function runBatch<Result>(
  tracer: Tracer,
  { operation, topic, records }: TracedBatch,
  links: readonly Link[],
  work: (steps: Steps) => Promise<Result>,
): Promise<Result> {
  const [first] = links;
  const isOne = links.length === 1 && first !== undefined;
  const parent = isOne ? trace.setSpanContext(ROOT_CONTEXT, first.context) : ROOT_CONTEXT;
  const span = tracer.startSpan(
    `${operation} ${topic}`,
    {
      kind: operation === 'send' ? SpanKind.PRODUCER : SpanKind.CONSUMER,
      links: [...links],
      attributes: {
        'messaging.system': 'kafka',
        'messaging.destination.name': topic,
        'messaging.operation.name': operation,
        'messaging.operation.type': operation,
        'messaging.batch.message_count': records.length,
      },
    },
    parent,
  );
  const within = trace.setSpan(parent, span);
  return runIn(span, () => work(stepsIn(tracer, within, span)));
}

function stepsIn(tracer: Tracer, context: Context, span: Span): Steps {
  return {
    traceparent: traceparentOfSpan(span),
    step: (name, work) => runIn(tracer.startSpan(name, {}, context), work),
  };
}

/** Runs the work and ends the span, with the error if the work fails. */
async function runIn<Result>(span: Span, work: () => Promise<Result>): Promise<Result> {
  try {
    return await work();
  } catch (error) {
    span.setAttribute(ATTR_ERROR_TYPE, error instanceof Error ? error.name : 'Error');
    span.setStatus({ code: SpanStatusCode.ERROR, message: messageOf(error) });
    throw error;
  } finally {
    span.end();
  }
}
