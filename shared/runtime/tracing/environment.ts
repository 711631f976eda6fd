import { Type } from 'typebox';

/** Environment variables of OpenTelemetry; the specification of OpenTelemetry defines them. */
export const tracingVariables = {
  OTEL_EXPORTER_OTLP_ENDPOINT: Type.String({
    default: '',
    pattern: '^(https?://.+)?$',
    description:
      'URL of an OpenTelemetry collector (OTLP over HTTP, e.g. `http://127.0.0.1:4318`) that gets traces. Empty: no traces.',
  }),
  OTEL_EXPORTER_OTLP_HEADERS: Type.String({
    default: '',
    maxLength: 8_192,
    description: 'Header fields for the collector: `NAME=VALUE,NAME=VALUE`, values percent-encoded.',
  }),
  OTEL_TRACES_SAMPLER: Type.String({
    enum: ['parentbased_always_on', 'parentbased_traceidratio', 'parentbased_always_off'],
    default: 'parentbased_always_on',
    description:
      'Which requests are traced if their caller sends no `traceparent`: all, the share `OTEL_TRACES_SAMPLER_ARG`, or none.',
  }),
  OTEL_TRACES_SAMPLER_ARG: Type.Number({
    minimum: 0,
    maximum: 1,
    default: 1,
    description: 'Share of requests that `parentbased_traceidratio` traces.',
  }),
  OTEL_RESOURCE_ATTRIBUTES: Type.String({
    default: '',
    maxLength: 8_192,
    description:
      'Attributes of every span: `NAME=VALUE,NAME=VALUE`, e.g. `deployment.environment.name=staging`.',
  }),
};
