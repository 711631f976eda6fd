import { execFileSync } from 'node:child_process';
import { pino } from 'pino';
import { afterEach, describe, expect, test } from 'vitest';
import { readConfig } from '../../../shared/runtime/config.ts';
import { createLifecycle } from '../../../shared/runtime/lifecycle.ts';
import type { Lifecycle } from '../../../shared/runtime/lifecycle.ts';
import { tracingVariables } from '../../../shared/runtime/tracing/environment.ts';
import { traceparentOf } from '../../../shared/runtime/tracing/record-traces.ts';
import { startTracing } from '../../../shared/runtime/tracing/start-tracing.ts';
import type { Tracing } from '../../../shared/runtime/tracing/tracing.ts';
import { Type } from 'typebox';

const traceId = '0af7651916cd43dd8448eb211c80319c';
const recorded = `00-${traceId}-b7ad6b7169203331-01`;
const unrecorded = `00-${traceId}-b7ad6b7169203331-00`;
const event = (traceparent: string): { value: Buffer } => ({
  value: Buffer.from(JSON.stringify({ id: '1', traceparent, data: { note: 'größer' } })),
});

/** An address at which no process listens. */
const closedPort = 'http://127.0.0.1:1';

/** What the newest tracing logged. */
let lines: string[] = [];
let lifecycle: Lifecycle | null = null;

afterEach(async () => {
  await lifecycle?.close();
});

async function start(env: Readonly<Record<string, string>>): Promise<Tracing | null> {
  const own: string[] = (lines = []);
  const logger = pino({ level: 'info' }, { write: (line: string) => void own.push(line) });
  lifecycle = createLifecycle(logger);
  const config = readConfig(Type.Object(tracingVariables), env);
  return startTracing({ service: 'test', config, logger, lifecycle });
}

async function started(env: Readonly<Record<string, string>> = {}): Promise<Tracing> {
  const tracing = await start({ OTEL_EXPORTER_OTLP_ENDPOINT: closedPort, ...env });
  if (tracing === null) throw new Error('traces are off');
  return tracing;
}

describe('without OTEL_EXPORTER_OTLP_ENDPOINT', () => {
  test('traces are off', async () => {
    expect(await start({})).toBeNull();
    expect(await start({ OTEL_TRACES_SAMPLER: 'parentbased_always_on' })).toBeNull();
  });

  test('no service loads the SDK of OpenTelemetry', () => {
    const script = `
      import { registerHooks } from 'node:module';
      registerHooks({ load(url, context, next) {
        if (/@opentelemetry.(core|sdk|exporter|resources)/.test(url)) console.log(url);
        return next(url, context);
      } });
      await import('./services/gateway/open-enforcer.ts');
      await import('./services/aggregator/service.ts');
      await import('./services/admin/app.ts');
      await import('./services/console/app.ts');
      const { startTracing } = await import('./shared/runtime/tracing/start-tracing.ts');
      console.log(await startTracing({ config: { OTEL_EXPORTER_OTLP_ENDPOINT: '' } }));`;
    const output = execFileSync(process.execPath, ['--input-type=module', '-e', script], {
      encoding: 'utf8',
    });
    expect(output.trim()).toBe('null');
  });
});

test('an endpoint or a sampler that is not supported is refused at the start', async () => {
  await expect(start({ OTEL_EXPORTER_OTLP_ENDPOINT: 'collector:4317' })).rejects.toThrow('OTLP_ENDPOINT');
  await expect(start({ OTEL_TRACES_SAMPLER: 'always_on' })).rejects.toThrow('parentbased_always_on');
});

describe('a request', () => {
  test('is recorded as its caller records it, and the upstream gets the same decision', async () => {
    const tracing = await started({ OTEL_TRACES_SAMPLER: 'parentbased_always_off' });
    for (const [traceparent, flags] of [
      [recorded, '01'],
      [unrecorded, '00'],
    ] as const) {
      const span = tracing.startRequest({ traceparent, tracestate: 'vendor=a1' });
      const headers: Record<string, string> = { traceparent, tracestate: 'vendor=a1' };
      span.writeHeaders(headers);
      expect(headers['traceparent']).toMatch(new RegExp(`^00-${traceId}-[0-9a-f]{16}-${flags}$`));
      expect(headers['traceparent']).not.toBe(traceparent);
      expect(headers['tracestate']).toBe('vendor=a1');
      expect(span.traceparent).toBe(flags === '01' ? headers['traceparent'] : null);
    }
  });

  test.each(['', 'nonsense', `${recorded}, ${recorded}`, recorded.replace(traceId, '0'.repeat(32))])(
    'begins a trace if its traceparent is %j, and the state of the other trace is dropped',
    async (traceparent) => {
      const span = (await started()).startRequest({ traceparent, tracestate: 'vendor=a1' });
      const headers: Record<string, string> = { tracestate: 'vendor=a1' };
      span.writeHeaders(headers);
      expect(headers).toEqual({ traceparent: span.traceparent });
      expect(span.traceparent).not.toContain(traceId);
    },
  );

  test('without a traceparent is recorded by the share', async () => {
    const tracing = await started({
      OTEL_TRACES_SAMPLER: 'parentbased_traceidratio',
      OTEL_TRACES_SAMPLER_ARG: '0.25',
    });
    const count = 4_000;
    let recordedCount = 0;
    for (let request = 0; request < count; request += 1)
      if (tracing.startRequest({}).traceparent !== null) recordedCount += 1;
    // Six standard deviations around the expected number.
    expect(Math.abs(recordedCount - count / 4)).toBeLessThan(6 * Math.sqrt((count * 3) / 16));
  });
});

describe('a batch', () => {
  const batchOf = (...records: readonly { value: Buffer | null }[]) =>
    ({ operation: 'process', topic: 't', records }) as const;

  test('continues the trace of its only recorded request', async () => {
    const tracing = await started({ OTEL_TRACES_SAMPLER: 'parentbased_always_off' });
    const batch = batchOf({ value: Buffer.from('{}') }, event(recorded), event(unrecorded));
    expect(await tracing.traceBatch(batch, ({ traceparent }) => Promise.resolve(traceparent))).toMatch(
      new RegExp(`^00-${traceId}-`),
    );
  });

  test('begins a recorded trace if it has several recorded requests, whatever the share of new traces', async () => {
    const tracing = await started({ OTEL_TRACES_SAMPLER: 'parentbased_always_off' });
    const other = recorded.replace('0af7', '1af7');
    const traceparent = await tracing.traceBatch(batchOf(event(recorded), event(other)), (steps) =>
      steps.step('inner', () => Promise.resolve(steps.traceparent)),
    );
    expect(traceparent).toMatch(/^00-[0-9a-f]{32}-[0-9a-f]{16}-01$/);
    expect(traceparent).not.toContain(traceId);
  });

  test('without a recorded request has no span, and its work has its result and its error', async () => {
    const tracing = await started();
    const batch = batchOf(
      event(unrecorded),
      { value: null },
      { value: Buffer.from('{"traceparent":"00-ab"}') },
    );
    expect(await tracing.traceBatch(batch, ({ traceparent }) => Promise.resolve(traceparent))).toBeNull();
    const failing = tracing.traceBatch(batchOf(event(recorded)), () => Promise.reject(new Error('failed')));
    await expect(failing).rejects.toThrow('failed');
  });
});

test('the traceparent of a record is found in a header or in the JSON, and never inside a text of the event', () => {
  expect(traceparentOf(event(recorded))).toBe(recorded);
  expect(traceparentOf({ value: null, headers: { traceparent: recorded } })).toBe(recorded);
  expect(traceparentOf({ value: Buffer.from('{}'), headers: { ce_traceparent: recorded } })).toBe(recorded);
  expect(traceparentOf({ value: Buffer.from('{"id":"1"}') })).toBeNull();
  const inside = JSON.stringify({ data: { note: `"traceparent":"${recorded}"` } });
  expect(traceparentOf({ value: Buffer.from(inside) })).toBeNull();
});

test('a collector that cannot be reached costs one warning, and does not delay the stop', async () => {
  const tracing = await started();
  for (let request = 0; request < 3_000; request += 1) tracing.startRequest({}).end(200);
  const beforeMs = performance.now();
  await lifecycle?.close();
  expect(performance.now() - beforeMs).toBeLessThan(8_000);
  const warnings = lines.filter((line) => line.includes('traces are not exported'));
  expect(warnings.length).toBeLessThanOrEqual(1);
});
