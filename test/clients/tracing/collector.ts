import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdtemp, readFile, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { homedir, tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { promisify } from 'node:util';
import { stringify } from 'yaml';
import { needProgram } from '../../../dev/packages.ts';
import { freePort } from '../../../dev/servers/free-port.ts';
import { startServerProcess } from '../../../dev/servers/server-process.ts';

/** A span as the collector exports it. */
export interface CollectedSpan {
  readonly service: string;
  readonly traceId: string;
  readonly spanId: string;
  readonly parentSpanId: string;
  readonly name: string;
  readonly kind: number;
  readonly attributes: Readonly<Record<string, unknown>>;
  /** Trace ids of the links. */
  readonly links: readonly string[];
  readonly isError: boolean;
  readonly durationMs: number;
}

export interface Collector {
  /** The `OTEL_EXPORTER_OTLP_ENDPOINT` of the services. */
  readonly url: string;
  /** All spans that the collector has exported. */
  readonly spans: () => readonly CollectedSpan[];
  /** All that the collector has exported, as text. */
  readonly received: () => string;
  readonly stop: () => Promise<void>;
}

/**
 * Starts the OpenTelemetry Collector: it receives OTLP in protobuf from the services, and exports the spans in JSON to
 * an HTTP server of this process. So the far end of the services decodes and validates by the official code.
 */
export async function startCollector(): Promise<Collector> {
  const bodies: string[] = [];
  const sink = createServer((request, response) => {
    void text(request).then((body) => {
      bodies.push(body);
      response.writeHead(200, { 'content-type': 'application/json' }).end('{}');
    });
  });
  sink.listen(0, '127.0.0.1');
  await once(sink, 'listening');
  const dir = await mkdtemp(join(tmpdir(), 'tollgate-collector-'));
  const port = await freePort();
  const config = join(dir, 'config.yaml');
  await writeFile(
    config,
    stringify(configOf(port, `http://127.0.0.1:${(sink.address() as AddressInfo).port}`)),
  );
  const url = `http://127.0.0.1:${port}`;
  const collector = await startServerProcess({
    name: 'collector',
    command: await collectorProgram(),
    args: ['--config', `file:${config}`],
    dir,
    logFile: join(dir, 'log'),
    ready: async () => (await fetch(`${url}/v1/traces`, { method: 'POST' })).status > 0,
    readyTimeoutMs: 60_000,
  });
  let isRunning = true;
  return {
    url,
    spans: () => bodies.flatMap(spansOf),
    received: () => bodies.join('\n'),
    stop: async () => {
      if (isRunning) await collector.stop();
      isRunning = false;
      sink.close();
    },
  };
}

function configOf(port: number, sinkUrl: string): object {
  return {
    receivers: { otlp: { protocols: { http: { endpoint: `127.0.0.1:${port}` } } } },
    exporters: {
      otlp_http: {
        endpoint: sinkUrl,
        encoding: 'json',
        compression: 'none',
        sending_queue: { enabled: false },
      },
    },
    service: {
      telemetry: { metrics: { level: 'none' } },
      pipelines: { traces: { receivers: ['otlp'], exporters: ['otlp_http'] } },
    },
  };
}

/** Path of the collector, which Go builds once into the user's cache. */
async function collectorProgram(): Promise<string> {
  const source = join(import.meta.dirname, 'collector');
  const hash = createHash('sha256').update(await readFile(join(source, 'main.go')));
  const version = hash
    .update(await readFile(join(source, 'go.sum')))
    .digest('hex')
    .slice(0, 12);
  const cache = process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache');
  const program = join(cache, 'tollgate', `collector-${version}`);
  if (existsSync(program)) return program;
  const go = await needProgram('go', say);
  say('building the OpenTelemetry Collector');
  await promisify(execFile)(go, ['build', '-o', program, '.'], { cwd: source, timeout: 280_000 });
  return program;
}

const say = (line: string): void => void process.stderr.write(`${line}\n`);

interface OtlpAttribute {
  readonly key: string;
  readonly value: Readonly<Record<string, unknown>>;
}

interface OtlpSpan {
  readonly traceId: string;
  readonly spanId: string;
  readonly parentSpanId?: string;
  readonly name: string;
  readonly kind: number;
  readonly startTimeUnixNano: string;
  readonly endTimeUnixNano: string;
  readonly attributes?: readonly OtlpAttribute[];
  readonly links?: readonly { readonly traceId: string }[];
  readonly status?: { readonly code?: number };
}

interface OtlpBody {
  readonly resourceSpans?: readonly {
    readonly resource: { readonly attributes?: readonly OtlpAttribute[] };
    readonly scopeSpans?: readonly { readonly spans?: readonly OtlpSpan[] }[];
  }[];
}

function spansOf(body: string): CollectedSpan[] {
  const { resourceSpans = [] } = JSON.parse(body) as OtlpBody;
  return resourceSpans.flatMap(({ resource, scopeSpans = [] }) => {
    const service = String(attributesOf(resource.attributes)['service.name']);
    return scopeSpans
      .flatMap(({ spans = [] }) => spans)
      .map((span) => ({
        service,
        traceId: span.traceId,
        spanId: span.spanId,
        parentSpanId: span.parentSpanId ?? '',
        name: span.name,
        kind: span.kind,
        attributes: attributesOf(span.attributes),
        links: (span.links ?? []).map(({ traceId }) => traceId),
        isError: span.status?.code === 2,
        durationMs: Number(BigInt(span.endTimeUnixNano) - BigInt(span.startTimeUnixNano)) / 1e6,
      }));
  });
}

function attributesOf(attributes: readonly OtlpAttribute[] = []): Readonly<Record<string, unknown>> {
  return Object.fromEntries(attributes.map(({ key, value }) => [key, plainValue(value)]));
}

function plainValue(value: Readonly<Record<string, unknown>>): unknown {
  const { arrayValue, intValue } = value as {
    arrayValue?: { values?: readonly Readonly<Record<string, unknown>>[] };
    intValue?: string;
  };
  if (arrayValue !== undefined) return (arrayValue.values ?? []).map(plainValue);
  return intValue === undefined ? Object.values(value)[0] : Number(intValue);
}
