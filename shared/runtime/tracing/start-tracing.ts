import { hostname } from 'node:os';
import type { Static, TObject } from 'typebox';
import type { Lifecycle } from '../lifecycle.ts';
import type { Logger } from '../logger.ts';
import { withinOr } from '../within.ts';
import type { tracingVariables } from './environment.ts';
import type { Tracing } from './tracing.ts';

export interface TracingOptions {
  /** Name of the service, e.g. `gateway`. */
  readonly service: string;
  /** Name of the process among those of the service; absent: host name and process id. */
  readonly instance?: string;
  readonly config: Static<TObject<typeof tracingVariables>>;
  readonly logger: Logger;
  readonly lifecycle: Lifecycle;
}

/** Longest wait for the last spans when the process stops. */
const flushMsMax = 2_000;

/**
 * Starts the export of traces if `OTEL_EXPORTER_OTLP_ENDPOINT` is set; otherwise returns null. The SDK of OpenTelemetry
 * is loaded only then, so that a process without traces has neither its memory nor its time of start.
 */
export async function startTracing(options: TracingOptions): Promise<Tracing | null> {
  const { service, config, lifecycle, logger } = options;
  const { instance = `${hostname()}-${process.pid}` } = options;
  if (config.OTEL_EXPORTER_OTLP_ENDPOINT === '') return null;
  const { createTracing } = await import('./otel/otel-tracing.ts');
  const tracing = createTracing({
    service,
    instance,
    logger,
    endpoint: config.OTEL_EXPORTER_OTLP_ENDPOINT,
    headers: config.OTEL_EXPORTER_OTLP_HEADERS,
    resourceAttributes: config.OTEL_RESOURCE_ATTRIBUTES,
    newTraceShare: newTraceShareOf(config),
  });
  lifecycle.onClose('traces', () => withinOr(tracing.close(), flushMsMax, undefined));
  logger.info({ endpoint: new URL(config.OTEL_EXPORTER_OTLP_ENDPOINT).origin }, 'traces are exported');
  return tracing;
}

/** The share of requests without a `traceparent` that are traced. */
function newTraceShareOf({ OTEL_TRACES_SAMPLER, OTEL_TRACES_SAMPLER_ARG }: TracingOptions['config']): number {
  if (OTEL_TRACES_SAMPLER === 'parentbased_always_off') return 0;
  return OTEL_TRACES_SAMPLER === 'parentbased_traceidratio' ? OTEL_TRACES_SAMPLER_ARG : 1;
}
