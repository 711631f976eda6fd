import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { IncomingHttpHeaders, Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { serviceNames } from '../../../dev/stack/services.ts';
import { runPolicy } from '../../support/policy-run.ts';
import type { PolicyRun } from '../../support/policy-run.ts';
import { eventually } from '../../support/servers.ts';
import { startCollector } from './collector.ts';
import type { CollectedSpan, Collector } from './collector.ts';

/** Goal: what operators see in their traces. Method: all services export to the OpenTelemetry Collector. */
let collector: Collector;
let upstream: Server;
let run: PolicyRun;
/** Header fields that the upstream received, by path. */
const forwarded = new Map<string, IncomingHttpHeaders>();

const server = 2;
const producer = 4;
const consumer = 5;

beforeAll(async () => {
  collector = await startCollector();
  upstream = createServer((request, response) => {
    forwarded.set(request.url ?? '', request.headers);
    response.end('{}');
  });
  upstream.listen(0, '127.0.0.1');
  await once(upstream, 'listening');
  run = await runPolicy('default', {
    services: serviceNames,
    env: {
      OTEL_EXPORTER_OTLP_ENDPOINT: collector.url,
      OTEL_RESOURCE_ATTRIBUTES: 'deployment.environment.name=test',
      TOLLGATE_UPSTREAM: `http://127.0.0.1:${(upstream.address() as AddressInfo).port}`,
    },
  });
});

afterAll(async () => {
  await run.stop();
  await collector.stop();
  upstream.close();
});

const hex = (bytes: number): string => randomBytes(bytes).toString('hex');

async function spansOfTrace(
  traceId: string,
  isComplete: (spans: readonly CollectedSpan[]) => boolean,
): Promise<readonly CollectedSpan[]> {
  return eventually(
    () => {
      const found = collector.spans().filter((span) => span.traceId === traceId);
      return isComplete(found) ? found : null;
    },
    { timeoutMs: 40_000 },
  );
}

const named = (spans: readonly CollectedSpan[], name: RegExp): CollectedSpan | undefined =>
  spans.find((span) => name.test(span.name));

describe('the trace of a request', () => {
  test('continues the trace of the caller, states the decision, and goes on through the whole pipeline', async () => {
    const [traceId, callerSpan] = [hex(16), hex(8)];
    const token = await run.token({ tenant_id: 'traced', tier: 'pro' });
    const headers = { traceparent: `00-${traceId}-${callerSpan}-01`, tracestate: 'vendor=a1' };
    const response = await run.call('POST /agent/chat?api_key=secret-in-query', { token, headers });
    expect(response.status).toBe(200);

    const spans = await spansOfTrace(
      traceId,
      (found) => found.filter(({ name }) => name.startsWith('process')).length >= 3,
    );
    const request = named(spans, /^POST/);
    expect(request).toMatchObject({
      service: 'tollgate-gateway',
      name: 'POST /agent/chat',
      kind: server,
      parentSpanId: callerSpan,
      isError: false,
      attributes: {
        'http.request.method': 'POST',
        'http.route': '/agent/chat',
        'http.response.status_code': 200,
        'url.path': '/agent/chat',
        'tollgate.decision': 'allowed',
        'tollgate.tenant': 'traced',
        'tollgate.plan': 'pro',
        'tollgate.entrypoint': 'proxy',
        'tollgate.units': 1,
        'tollgate.degraded': false,
      },
    });
    const decisionId = String(request?.attributes['tollgate.decision_id']);
    // The upstream continues the trace below Tollgate's span.
    expect(forwarded.get('/agent/chat?api_key=secret-in-query')).toMatchObject({
      traceparent: `00-${traceId}-${request?.spanId}-01`,
      tracestate: 'vendor=a1',
      'x-tollgate-decision': decisionId,
    });

    expect(named(spans, /^send .*usage/)).toMatchObject({
      service: 'tollgate-gateway',
      kind: producer,
      parentSpanId: request?.spanId,
      attributes: { 'messaging.system': 'kafka', 'messaging.operation.type': 'send' },
    });
    const block = named(spans, /^process .*usage/);
    expect(block).toMatchObject({
      service: 'tollgate-aggregator',
      kind: consumer,
      parentSpanId: request?.spanId,
    });
    for (const step of ['store events', 'derive totals', 'announce totals'])
      expect(named(spans, new RegExp(`^${step}$`)), step).toMatchObject({ parentSpanId: block?.spanId });
    const readers = spans.filter(({ name }) => /^process .*totals/.test(name));
    expect(readers.map(({ service }) => service).sort()).toEqual(['tollgate-alerter', 'tollgate-reconciler']);

    const stored = await eventually(async () => {
      const [row] = await run.clickhouse.query<{ traceparent: string }>(
        `SELECT properties['ce_traceparent'] AS traceparent FROM usage_events WHERE event_id = {id: String}`,
        { id: decisionId },
      );
      return row;
    });
    expect(stored.traceparent).toBe(`00-${traceId}-${request?.spanId}-01`);
  });

  test('is not recorded if the caller does not record it, and the upstream is informed of that', async () => {
    const traceId = hex(16);
    const headers = { traceparent: `00-${traceId}-${hex(8)}-00` };
    const token = await run.token({ tenant_id: 'unrecorded', tier: 'pro' });
    await run.call('GET /unrecorded', { token, headers });
    expect(forwarded.get('/unrecorded')?.['traceparent']).toMatch(
      new RegExp(`^00-${traceId}-[0-9a-f]{16}-00$`),
    );
    // A later request was exported, so the span of this one would have been exported too.
    const later = hex(16);
    await run.call('GET /later', { token, headers: { traceparent: `00-${later}-${hex(8)}-01` } });
    await spansOfTrace(later, (found) => found.length > 0);
    expect(collector.spans().filter((span) => span.traceId === traceId)).toEqual([]);
  });

  test('begins at Tollgate if the caller sends none or one that cannot be read', async () => {
    const token = await run.token({ tenant_id: 'fresh', tier: 'pro' });
    await run.call('GET /fresh', { token });
    await run.call('GET /broken', { token, headers: { traceparent: '00-zz-1-01', tracestate: 'vendor=a1' } });
    for (const path of ['/fresh', '/broken']) {
      const [, traceId = ''] = /^00-([0-9a-f]{32})-/.exec(String(forwarded.get(path)?.['traceparent'])) ?? [];
      // The processes of the pipeline may export their spans of this trace before the gateway does.
      const isRequest = ({ kind }: CollectedSpan): boolean => kind === server;
      const spans = await spansOfTrace(traceId, (found) => found.some(isRequest));
      expect(spans.find(isRequest)).toMatchObject({ parentSpanId: '', attributes: { 'url.path': path } });
    }
    expect(forwarded.get('/broken')).not.toHaveProperty('tracestate');
  });

  test('names the limit of a refused request, and the checks of an API have spans too', async () => {
    const traceId = hex(16);
    const token = await run.token({ tenant_id: 'limited', sub: 'u', tier: 'pro' });
    await run.calls(10, 'POST /agent/chat', { token });
    const headers = { traceparent: `00-${traceId}-${hex(8)}-01` };
    expect((await run.call('POST /agent/chat', { token, headers })).status).toBe(429);
    await run.api('POST /v1/check', {
      token: run.serviceToken,
      headers,
      body: { tenant_id: 'limited', method: 'GET', path: '/checked' },
    });
    const spans = await spansOfTrace(traceId, (found) => named(found, /GET/) !== undefined);
    expect(named(spans, /^POST/)?.attributes).toMatchObject({
      'http.response.status_code': 429,
      'tollgate.decision': 'limited',
      'tollgate.limit': ['chat'],
    });
    expect(named(spans, /^GET/)?.attributes).toMatchObject({
      'tollgate.entrypoint': 'check',
      'url.path': '/checked',
    });
  });
});

test('a batch of several requests links to the trace of each', async () => {
  const token = await run.token({ tenant_id: 'batch', tier: 'pro' });
  const traces = Array.from({ length: 40 }, () => hex(16));
  await Promise.all(
    traces.map((traceId) =>
      run.call('GET /batch', { token, headers: { traceparent: `00-${traceId}-${hex(8)}-01` } }),
    ),
  );
  for (const name of [/^send .*usage/, /^process .*usage/]) {
    await eventually(
      () => {
        const spans = collector.spans().filter((span) => name.test(span.name));
        const reached = new Set(spans.flatMap(({ traceId, links }) => [traceId, ...links]));
        return traces.every((traceId) => reached.has(traceId));
      },
      { timeoutMs: 40_000 },
    );
  }
  const batches = collector
    .spans()
    .filter(({ name, links }) => /^send .*usage/.test(name) && links.length > 1);
  expect(batches.length).toBeGreaterThan(0);
});

test('the admin API and the console write the pattern of a route, never its ids; no span has a secret', async () => {
  const secret = hex(24);
  await run.admin('GET /admin/v1/tenants/tenant-with-a-name');
  await fetch(`${run.installation.urls.console}/sign-in?token=${secret}`);
  await run.call(`GET /private?token=${secret}`, { token: secret });
  const spans = await eventually(
    () => {
      const found = collector.spans();
      const has = (service: string): boolean => found.some((span) => span.service === service);
      return has('tollgate-admin') && has('tollgate-console') ? found : null;
    },
    { timeoutMs: 40_000 },
  );
  const admin = spans.find(({ name }) => name.includes('/tenants/'));
  expect(admin).toMatchObject({ service: 'tollgate-admin', kind: server });
  expect(admin?.name).not.toContain('tenant-with-a-name');
  for (const text of [
    secret,
    'secret-in-query',
    run.serviceToken,
    run.installation.env['TOLLGATE_ADMIN_TOKEN']!,
  ])
    expect(collector.received()).not.toContain(text);
});

test('without a collector, requests are served and each service logs one warning', async () => {
  await collector.stop();
  const token = await run.token({ tenant_id: 'alone', tier: 'pro' });
  const gateway = run.installation.service('gateway');
  const warnings = (): number => gateway.log().split('traces are not exported').length - 1;
  const endAtMs = Date.now() + 20_000;
  const statuses = new Set<number>();
  // Several exports fail in this time, because the SDK exports every 5 s.
  await eventually(
    async () => {
      statuses.add((await run.call('GET /alone', { token })).status);
      return Date.now() > endAtMs;
    },
    { timeoutMs: 40_000 },
  );
  expect([...statuses]).toEqual([200]);
  expect(warnings()).toBe(1);
  expect(await gateway.stop()).toBe(0);
});
