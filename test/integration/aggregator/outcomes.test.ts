// Goal: analysts see the outcomes that an application reports, also for very many requests at once.
// Method: a real aggregator between real Kafka and the real ClickHouse engine.
import { afterEach, expect, test } from 'vitest';
import { amendEventType, voidEventType } from '../../../shared/domain/events/correction.ts';
import { listDeadLetters } from '../../../shared/kafka/dead-letters/dead-letters.ts';
import { createLogEnds } from '../../../shared/kafka/offsets/topic-offsets.ts';
import { eventually } from '../../support/servers.ts';
import { createFixture } from './fixture.ts';
import type { Fixture } from './fixture.ts';
import { meterEvent, requestEvent, settlementOf } from './events.ts';

let fixture: Fixture;
afterEach(() => fixture.dispose());

const outcomeOf = (id: string, data: object) => ({
  ...meterEvent('acme'),
  source: 'tollgate/node-1',
  type: amendEventType,
  data: { event_id: id, ...data },
});

const send = (...values: unknown[]) => fixture.produce(values.map((value) => ({ tenant: 'acme', value })));

async function untilTotals(expected: { readonly requests: number; readonly errors: number }): Promise<void> {
  await eventually(
    async () => {
      for (const level of ['minute', 'hour', 'day']) {
        const [row] = await fixture.clickhouse.query(
          `SELECT sum(requests) AS requests, sum(errors) AS errors FROM usage_by_${level}`,
        );
        expect(row).toEqual(expected);
      }
      return true;
    },
    { timeoutMs: 30_000 },
  );
}

test('an outcome changes status and latency, and the errors of every level follow', async () => {
  fixture = await createFixture();
  fixture.start({ blockRowsMax: 2 });
  const [failed, fine] = [requestEvent('acme'), requestEvent('acme')];
  await send(failed, fine);
  await untilTotals({ requests: 2, errors: 0 });
  const outcome = outcomeOf(failed.id, { status: 503, latency_ms: 250 });
  await send(outcome, outcomeOf(fine.id, { status: 201, latency_ms: 8 }), outcome);
  await untilTotals({ requests: 2, errors: 1 });
  const rows = await fixture.clickhouse.query(
    'SELECT event_id, status, latency_ms, units, decision FROM usage_events ORDER BY status',
  );
  expect(rows).toEqual([
    { event_id: fine.id, status: 201, latency_ms: 8, units: 1, decision: 'allowed' },
    { event_id: failed.id, status: 503, latency_ms: 250, units: 1, decision: 'allowed' },
  ]);
});

test('an outcome does not restore a voided event, and an outcome of another tenant changes nothing', async () => {
  fixture = await createFixture();
  fixture.start();
  const [voided, other] = [requestEvent('acme'), requestEvent('other')];
  await fixture.produce([{ tenant: 'other', value: other }]);
  await send(
    voided,
    { ...meterEvent('acme'), type: voidEventType, data: { event_id: voided.id } },
    outcomeOf(voided.id, { status: 500 }),
    outcomeOf(other.id, { status: 500 }),
  );
  await untilTotals({ requests: 1, errors: 0 });
});

test('as many outcomes as requests are all applied, in a later block than their requests', async () => {
  fixture = await createFixture();
  const count = 1_000;
  const events = Array.from({ length: count }, () => requestEvent('acme'));
  await send(...events);
  const aggregator = fixture.start();
  await untilTotals({ requests: count, errors: 0 });
  await aggregator.stop();
  await send(...events.map(({ id }) => outcomeOf(id, { status: 500, latency_ms: 5 })));
  fixture.start();
  await untilTotals({ requests: count, errors: count });
});

/** The offsets that the aggregator has committed, in total. */
async function committed(): Promise<number> {
  const ends = createLogEnds(fixture.kafka, fixture.topics.usage, fixture.groupId);
  try {
    return (await ends.read()).reduce((sum, end) => sum + Math.max(0, end.committed), 0);
  } finally {
    ends.close();
  }
}

test('F1: a settlement that overtakes its event is applied when the event arrives, also after a restart', async () => {
  fixture = await createFixture();
  const waits = { blockRowsMax: 1, correctionWaitMs: 60_000 };
  const reservation = {
    state: 'open' as const,
    reserved: { tokens: 100 },
    expires_at: new Date().toISOString(),
  };
  const call = requestEvent('acme', { data: { reservation, quantities: { tokens: 100 } } });
  const meter = meterEvent('acme', { id: 'late', data: { units: 5 } });
  const aggregator = fixture.start(waits);
  await send(settlementOf(call, 1, { quantities: { tokens: 7 }, status: 503 }));
  await send({ ...meterEvent('acme'), type: amendEventType, data: { event_id: 'late', units: 3 } });
  await send(requestEvent('acme'));
  await untilTotals({ requests: 1, errors: 0 });
  await aggregator.stop();
  expect(await committed()).toBe(0);
  fixture.start(waits);
  await send(call, meter);
  await untilTotals({ requests: 3, errors: 1 });
  const [row] = await fixture.clickhouse.query(
    `SELECT sum(units) AS units, toFloat64(sum(quantities['tokens'])) AS tokens, countIf(reservation = 'settled') AS settled
    FROM stored_events FINAL`,
  );
  expect(row).toEqual({ units: 1 + 1 + 3, tokens: 7, settled: 1 });
  await eventually(async () => (await committed()) === 5, { timeoutMs: 30_000 });
});

test('a correction whose event does not arrive becomes a dead letter, and other records do not wait for it', async () => {
  fixture = await createFixture();
  fixture.start({ correctionWaitMs: 3_000 });
  await send(outcomeOf(requestEvent('acme').id, { status: 503 }), requestEvent('acme'));
  await untilTotals({ requests: 1, errors: 0 });
  const letters = await eventually(
    async () => {
      const found = await listDeadLetters(fixture.kafka, fixture.topics.deadLetters, { limit: 10 });
      return found.length > 0 ? found : null;
    },
    { timeoutMs: 30_000 },
  );
  expect(letters.map(({ reason }) => reason)).toEqual([
    expect.stringMatching(/^the event to correct, .* does not exist$/),
  ]);
  await eventually(async () => (await committed()) === 2, { timeoutMs: 30_000 });
});
