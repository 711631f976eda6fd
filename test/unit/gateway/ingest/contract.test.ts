// Goal: every event that is accepted is counted. Method: publish valid to hostile events in each encoding, and let the
// aggregator decode the bytes of the spool, at the earliest and at the latest time at which they may reach it.
import fc from 'fast-check';
import { pino } from 'pino';
import { expect, test } from 'vitest';
import { decode } from '../../../../services/aggregator/events/decode.ts';
import { storedEventColumns } from '../../../../services/aggregator/events/stored-event.ts';
import { eventsOf } from '../../../../services/gateway/ingest/http-binding.ts';
import { createEventGroups } from '../../../../services/gateway/ingest/event-groups.ts';
import { judgeEvents, writeEvents } from '../../../../services/gateway/ingest/publish-events.ts';
import { createEventEncoder } from '../../../../services/gateway/spool/folder/run-id.ts';
import { encodeNative } from '../../../../shared/clickhouse/native.ts';
import { publishedTimeBounds, storedTimeBounds } from '../../../../shared/domain/events/bounds.ts';
import type { UsageCloudEvent } from '../../../../shared/domain/usage-event.ts';
import { hostileEvents } from './hostile-events.ts';

const nowMs = Date.UTC(2026, 10, 21, 12);
const seed = Number(process.env['SEED'] ?? 1);
const encode = createEventEncoder('a1b2c3d4e5f6', nowMs, { first: 1, follows: 1 });
const acme = {
  tenantId: 'acme',
  userId: null,
  planClaim: null,
  ip: '',
  service: null,
  method: 'api_key',
} as const;
const billing = { ...acme, tenantId: null, service: 'billing', method: 'service' } as const;
const logger = pino({ level: 'silent' });

test(`an accepted event is stored, in every encoding and after any delay (SEED=${seed})`, async () => {
  let accepted = 0;
  const days = fc.constantFrom(2, 3, 17, 30, 400, 3_650);
  // 0: the aggregator reads the event at once, and its clock is behind. 1: it reads the event after the longest delay.
  const delays = fc.oneof(fc.constantFrom(0, 1), fc.double({ min: 0, max: 1, noNaN: true }));
  await fc.assert(
    fc.asyncProperty(
      fc.array(hostileEvents(nowMs), { minLength: 1, maxLength: 4 }),
      days,
      delays,
      fc.boolean(),
      async (events, retentionDays, delay, service) => {
        const [published, stored] = [publishedTimeBounds(retentionDays), storedTimeBounds(retentionDays)];
        const publisher = { identity: service ? billing : acme, nowMs, times: published };
        const skewMs = stored.aheadMsMax - published.aheadMsMax;
        const waitMs = stored.lateMsMax - published.lateMsMax;
        const readAtMs = nowMs - skewMs + Math.floor(delay * (skewMs + waitMs));
        for (const message of encodings(events)) {
          const read = eventsOf(message);
          if ('status' in read) continue;
          for (const value of await spooledTexts(
            await judgeEvents(read.members, publisher, createEventGroups()),
          )) {
            accepted += 1;
            const record = { partition: 0, offset: 7, headers: {}, timestampMs: nowMs, value };
            const decoded = decode(record, readAtMs, stored);
            expect(decoded, value.toString().slice(0, 1_000)).not.toMatchObject({ kind: 'dead' });
            if (decoded.kind === 'external') {
              const { units, cost, properties, sequence } = decoded.event;
              expect(Number.isFinite(units) && typeof cost === 'bigint', 'sums stay finite').toBe(true);
              expect(Object.values(properties).every((text) => text.isWellFormed())).toBe(true);
              expect(sequence).toBeGreaterThan(0);
              encodeNative(storedEventColumns(nowMs), [decoded.event]);
            }
          }
        }
      },
    ),
    { numRuns: 1_500, seed },
  );
  // Without this check, the test would pass if every event was rejected.
  expect(accepted).toBeGreaterThan(1_000);
});

/** The requests that carry the events: one batch, each event in structured mode, and each in binary mode. */
function encodings(events: readonly Record<string, unknown>[]) {
  const json = (value: unknown): Buffer => Buffer.from(JSON.stringify(value));
  const message = (type: string, body: Buffer, attributes: readonly [string, string][] = []) => ({
    headers: { 'content-type': type, ...Object.fromEntries(attributes) },
    rawHeaders: attributes.flat(),
    body,
  });
  return [
    message('application/cloudevents-batch+json', json(events)),
    ...events.map((event) => message('application/cloudevents+json; charset=utf-8', json(event))),
    ...events.map(({ data, ...attributes }) => {
      const body = data === undefined ? Buffer.alloc(0) : json(data);
      return message('application/vnd.acme+json', body, attributesOf(attributes));
    }),
  ];
}

function attributesOf(fields: Record<string, unknown>): [string, string][] {
  return Object.entries(fields)
    .filter(([name, value]) => /^[a-z0-9]+$/.test(name) && typeof value === 'string')
    .map(([name, value]) => [`ce-${name}`, encodeURIComponent(String(value).toWellFormed())]);
}

async function spooledTexts(judgements: Awaited<ReturnType<typeof judgeEvents>>): Promise<Buffer[]> {
  const values: Buffer[] = [];
  const log = {
    append: (eventAt: (sequence: number) => UsageCloudEvent) =>
      values.push(Buffer.from(encode(eventAt(values.length + 1), values.length + 1))),
    flushed: () => Promise.resolve(),
  };
  const results = await writeEvents(judgements, log, logger);
  expect(results.filter(({ status }) => status === 'accepted')).toHaveLength(values.length);
  return values;
}
