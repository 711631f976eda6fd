// Goal: every request with a response is counted. Method: write the event of each kind of verdict, and read it with the
// event contract.
import fc from 'fast-check';
import { Registry } from 'prom-client';
import { pino } from 'pino';
import { expect, test } from 'vitest';
import { decode, decodeBoundsDefault } from '../../../services/aggregator/events/decode.ts';
import { Meter } from '../../../services/gateway/metering/meter.ts';
import { requestEventText } from '../../../services/gateway/metering/request-event-text.ts';
import type { EventText } from '../../../services/gateway/spool/folder/run-id.ts';
import { createGatewayMetrics } from '../../../services/gateway/metrics.ts';
import type { Verdict } from '../../../services/gateway/enforcer/verdict.ts';
import { outcomes } from '../../../shared/domain/decision.ts';
import { problemOfId } from '../../../shared/domain/identity.ts';
import type { RequestData, RequestEvent, UsageCloudEvent } from '../../../shared/domain/usage-event.ts';

const nowMs = Date.UTC(2026, 10, 21, 12);
const seed = Number(process.env['SEED'] ?? 1);

const id = fc
  .string({ unit: 'binary', minLength: 1, maxLength: 256 })
  .filter((text) => problemOfId(text) === null);
const amount = fc.oneof(fc.double({ min: 0 }), fc.constantFrom(0, 1, 1e9, 4e9, 1e300, NaN, Infinity));
const halves = fc.array(fc.constantFrom('a', '/', '\ud83d', '\ude00', 'é', '?', '#'), { maxLength: 600 });

const prices = fc.record({ digits: fc.constantFrom(0, 75, 1e6), divisor: fc.constantFrom(1, 1e6) });

const verdicts = fc.record({
  decision: fc.record({
    id: fc.uuid({ version: 7 }),
    outcome: fc.constantFrom(...outcomes),
    limitedBy: fc.array(fc.constant('a-limit'), { maxLength: 100 }),
    checkMicros: fc.nat(),
    degraded: fc.boolean(),
  }),
  identity: fc.record({
    tenantId: fc.option(id),
    userId: fc.option(id),
    ip: fc.oneof(fc.ipV6(), fc.constant(`fe80::1%${'a'.repeat(300)}`), fc.constant('')),
    service: fc.option(fc.constant('billing')),
    apiKey: fc.option(fc.constant({ id: '0123456789ab', scope: null }), { nil: undefined }),
  }),
  plan: fc.record({ name: fc.constantFrom('free', 'pro') }),
  route: fc.option(fc.record({ match: fc.string({ maxLength: 512 }), unitPrice: prices })),
  units: amount,
  method: fc.oneof(
    fc.constantFrom('', 'GET', 'PROPPATCH'),
    halves.map((parts) => parts.join('')),
  ),
  path: halves.map((parts) => parts.join('')),
  atMs: fc.constant(nowMs),
  redisTimeMs: fc.constantFrom(0, nowMs, nowMs + 0.25, nowMs - 1, nowMs + 2 ** 33),
  policy: fc.record({ revision: fc.constantFrom('0123456789ab', 'ba9876543210') }),
  reservation: fc.constant(null),
});

let event: UsageCloudEvent | null = null;
let text = '';
const log = {
  append: <Event extends UsageCloudEvent>(eventAt: (n: number) => Event, textOf?: EventText<Event>) => {
    const appended = eventAt(7);
    event = appended;
    text = textOf === undefined ? JSON.stringify(appended) : textOf(appended, '');
    return 7;
  },
  flushed: () => Promise.resolve(),
};
const metrics = createGatewayMetrics(new Registry());
const logger = pino({ level: 'silent' });
let weight = 1;
const sampling = { weigh: () => weight };
const meter = new Meter({ events: log, node: 'node-1', metrics, logger, sampling });

function stored(): ReturnType<typeof decode> {
  const value = Buffer.from(text);
  return decode(
    { partition: 0, offset: 0, headers: {}, timestampMs: nowMs, value },
    nowMs,
    decodeBoundsDefault,
  );
}

test('the event of every request is one that the aggregator stores', () => {
  fc.assert(
    fc.property(verdicts, amount, fc.integer({ min: 100, max: 599 }), (verdict, latencyMs, status) => {
      void meter.writeRequest(verdict as unknown as Verdict, { status, latencyMs, entrypoint: 'proxy' });
      expect(stored()).toMatchObject({ kind: 'request' });
    }),
    { numRuns: 1_000, seed },
  );
});

const hostileText = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 20 }),
  fc.constantFrom('', '"', '\\', '\u2028', '\u007f', '\n', 'é', '\ud83d\ude00'),
);
const rareFields = fc.record(
  {
    weight: fc.constant(100),
    trace: fc.record({ traceparent: fc.option(hostileText) }),
    reservation: fc.constant({
      call: { model: 'a-model', timeMs: nowMs },
      reserve: { cost: null, amounts: { tokens: 5 }, expiresMs: 1_000 },
      pricing: { quantities: new Map() },
    }),
  },
  { requiredKeys: [] },
);

test(`the text of every event equals that of JSON.stringify (SEED=${seed})`, () => {
  fc.assert(
    fc.property(
      verdicts,
      rareFields,
      hostileText,
      amount,
      fc.boolean(),
      (verdict, rare, odd, latencyMs, odds) => {
        const identity = odds
          ? { ...verdict.identity, tenantId: odd, userId: odd, ip: odd }
          : verdict.identity;
        const hostile = { ...verdict, ...rare, identity, path: `${verdict.path}${odd}` };
        weight = rare.weight ?? 1;
        void meter.writeRequest(hostile as unknown as Verdict, { status: 200, latencyMs, entrypoint: odd });
        expect(text).toBe(JSON.stringify(event));
        expect(requestEventText(event as RequestEvent, '"a":1,')).toBe(`{"a":1,${text.slice(1)}`);
      },
    ),
    { numRuns: 2_000, seed },
  );
});

const everyField: Required<RequestData> = {
  user_id: 'u1',
  plan: 'free',
  method: 'GET',
  route: '*',
  path: '/',
  status: 200,
  decision: 'allowed',
  limited_by: ['a-limit'],
  units: 1,
  cost: 0.5,
  latency_ms: 1.25,
  check_us: 87,
  node: 'node-1',
  sequence: 7,
  degraded: false,
  client_ip: '192.0.2.1',
  service: '',
  entrypoint: 'proxy',
  policy_revision: '0123456789ab',
  decided_after_us: 5,
  api_key: '0123456789ab',
  sample_weight: 100,
  model: 'a-model',
  quantities: { tokens: 5 },
  measures: { output_tokens: 5 },
  usage_source: 'reported',
  reservation: { state: 'open', reserved: { tokens: 5 }, expires_at: '2026-11-21T12:00:00.000Z' },
};
const optionalFields = Object.keys(everyField).slice(Object.keys(everyField).indexOf('policy_revision'));

test.each(optionalFields)('the text of an event has its optional field %s', (name) => {
  const others = new Set(optionalFields.filter((other) => other !== name));
  const data = Object.fromEntries(Object.entries(everyField).filter(([field]) => !others.has(field)));
  const written = { ...(event as RequestEvent), data: data as unknown as RequestData };
  expect(JSON.parse(requestEventText(written, ''))).toEqual(JSON.parse(JSON.stringify(written)));
});

const frequentData = Object.fromEntries(
  Object.entries(everyField).slice(0, Object.keys(everyField).indexOf('sample_weight')),
);
const plainEvent = {
  specversion: '1.0',
  id: 'id',
  source: 'tollgate/node-1',
  type: 'tollgate.request.v1',
  time: '2026-11-21T12:00:00.000Z',
  subject: 'acme',
  datacontenttype: 'application/json',
};
const textFields = Object.keys(frequentData).filter((name) => typeof frequentData[name] === 'string');

test.each([...textFields, 'id', 'source', 'time', 'subject'])(
  'an event that differs from the one before in its field %s has its own text',
  (name) => {
    const before = { ...plainEvent, data: frequentData };
    const changed =
      name in frequentData
        ? { ...before, data: { ...frequentData, [name]: 'changed' } }
        : { ...before, [name]: 'changed' };
    for (const one of [before, changed, before]) {
      expect(requestEventText(one as unknown as RequestEvent, '')).toBe(JSON.stringify(one));
    }
  },
);

test('the event of returned units is one that the aggregator stores', () => {
  fc.assert(
    fc.property(verdicts, amount, (verdict, units) => {
      void meter.writeRefund(verdict as unknown as Verdict, units);
      expect(stored()).toMatchObject({ kind: 'external' });
    }),
    { numRuns: 1_000, seed },
  );
});
