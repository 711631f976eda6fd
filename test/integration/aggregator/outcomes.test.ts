// Goal: analysts see the outcomes that an application reports, also for very many requests at once.
// Method: a real aggregator between real Kafka and the real ClickHouse engine.
import { afterEach, expect, test } from 'vitest';
import { findStoredCorrections } from '../../../services/aggregator/events/find-stored-corrections.ts';
import type { ClickHouseReader } from '../../../shared/clickhouse/client.ts';
import { amendEventType, voidEventType } from '../../../shared/domain/events/correction.ts';
import { resentHeaders } from '../../../shared/domain/topics/resent-record.ts';
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
  await eventually(async () => {
    for (const level of ['minute', 'hour', 'day']) {
      const [row] = await fixture.clickhouse.query(
        `SELECT sum(requests) AS requests, sum(errors) AS errors FROM usage_by_${level}`,
      );
      expect(row).toEqual(expected);
    }
    return true;
  });
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

test('a correction that its gateway sends again changes nothing, also after a restart of the aggregator', async () => {
  fixture = await createFixture();
  const units = async (): Promise<number> => {
    const [row] = await fixture.clickhouse.query<{ units: number }>(
      'SELECT sum(units) AS units FROM usage_by_day',
    );
    return row?.units ?? 0;
  };
  const meter = meterEvent('acme', { id: 'fixed', data: { units: 1 } });
  const amend = (gateway: string, spoolsequence: number, newUnits: number) => ({
    ...{ spool: `${gateway}.1.aa.1`, spoolsequence },
    ...meterEvent('acme', { type: amendEventType, data: { event_id: 'fixed', units: newUnits } }),
  });
  const [first, second] = [amend('a', 1, 10), amend('b', 1, 20)];
  const copy = { tenant: 'acme', value: first, headers: resentHeaders };
  const aggregator = fixture.start({ blockRowsMax: 2 });
  await send(meter, first, second);
  await fixture.produce([copy]);
  await eventually(async () => (await committed()) === 4);
  expect(await units()).toBe(20);
  await aggregator.stop();
  await fixture.produce([copy, { tenant: 'acme', value: amend('c', 1, 30), headers: resentHeaders }]);
  fixture.start();
  await eventually(async () => (await committed()) === 6);
  // The correction of c is marked too, but Kafka did not have it, so it is applied.
  expect(await units()).toBe(30);
  await fixture.produce([copy]);
  await eventually(async () => (await committed()) === 7);
  expect(await units()).toBe(30);
});

test('the search for earlier copies of corrections reads few granules of the stored corrections', async () => {
  fixture = await createFixture();
  const { clickhouse } = fixture;
  const [count, startMs] = [400_000, Date.UTC(2026, 10, 20)];
  await clickhouse.command(
    `INSERT INTO stored_corrections (time, sequence, spool, kafka_partition, kafka_offset)
    SELECT fromUnixTimestamp64Milli({start:Int64} + intDiv(number, 2), 'UTC'), intDiv(number, 2), 'run', number % 2, intDiv(number, 2)
    FROM numbers({count:UInt32})`,
    { count, start: startMs },
  );
  const place = (number: number) => ({
    timeMs: startMs + number,
    sequence: number,
    spool: 'run',
    partition: 1,
  });
  let sql = '';
  const reader: ClickHouseReader = {
    query(text, params) {
      sql = text;
      return clickhouse.query(text, params);
    },
  };
  const wanted = [100_000, 100_001].map((number) => ({ ...place(number), offset: 300_000 }));
  const found = await findStoredCorrections(reader, wanted);
  expect(found.toSorted((a, b) => a.offset - b.offset)).toEqual(
    [100_000, 100_001].map((number) => ({ ...place(number), offset: number })),
  );
  const plan = await clickhouse.query<{ explain: string }>(`EXPLAIN indexes = 1 ${sql}`);
  const granules = plan
    .flatMap(({ explain }) => /Granules: (\d+)\/\d+$/.exec(explain)?.[1] ?? [])
    .map(Number);
  expect(granules.at(-1)).toBeLessThanOrEqual(2);
  const [table] = await clickhouse.query<{ granules: number }>(
    `SELECT sum(marks) AS granules FROM system.parts WHERE active AND database = currentDatabase() AND table = 'stored_corrections'`,
  );
  expect(table?.granules).toBeGreaterThan(40);
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
  await eventually(async () => (await committed()) === 5);
});

test('a correction whose event does not arrive becomes a dead letter, and other records do not wait for it', async () => {
  fixture = await createFixture();
  fixture.start({ correctionWaitMs: 3_000 });
  await send(outcomeOf(requestEvent('acme').id, { status: 503 }), requestEvent('acme'));
  await untilTotals({ requests: 1, errors: 0 });
  const letters = await eventually(async () => {
    const found = await listDeadLetters(fixture.kafka, fixture.topics.deadLetters, { limit: 10 });
    return found.length > 0 ? found : null;
  });
  expect(letters.map(({ reason }) => reason)).toEqual([
    expect.stringMatching(/^the event to correct, .* does not exist$/),
  ]);
  await eventually(async () => (await committed()) === 2);
});
