// Goal: the audit finds each kind of loss, names its place, and reports no loss where there is none.
// Method: real aggregators store events that a spool numbered; then a row, a record, a sequence number or units are removed.
import { expect, test } from 'vitest';
import { pino } from 'pino';
import { Registry } from 'prom-client';
import { startLossAudit } from '../../../services/reconciler/loss-audit.ts';
import { voidEventType } from '../../../shared/domain/events/correction.ts';
import type { ProcessReport } from '../../../shared/domain/operators/process-report.ts';
import { resentHeaders } from '../../../shared/domain/topics/resent-record.ts';
import { spoolRunName } from '../../../shared/domain/spool-run.ts';
import { systemClock } from '../../../shared/runtime/time/clock.ts';
import { eventually } from '../../support/servers.ts';
import { meterEvent, requestEvent } from '../aggregator/events.ts';
import { numbered, openedAtMs, spoolRun as run, upTo, useAuditFixture } from './audit-fixture.ts';

const logger = pino({ level: 'silent' });
const fixture = useAuditFixture();
const { audit, drained, requests, send, skipAll, spend } = fixture;

test('events of other producers, binary, repeated and under any key, are no loss', async () => {
  const attributes = {
    ce_specversion: '1.0',
    ce_id: 'order-1',
    ce_source: 'shop',
    ce_type: 'orders',
    ce_subject: 'acme',
  };
  const event = { ...attributes, ce_time: new Date().toISOString() };
  const keys = ['acme', 'other', 'third', 'fourth'];
  await fixture.fixture.produce(keys.map((tenant) => ({ tenant, value: '{"units":1}', headers: event })));
  await fixture.fixture.produce([
    { tenant: 'acme', value: '{}', headers: { ...attributes, ce_id: 'untimed' } },
  ]);
  await fixture.fixture.produce([
    { tenant: 'acme', value: '{}', headers: { ...attributes, ce_id: 'untimed' } },
  ]);
  await drained();
  expect(await audit()).toMatchObject({
    lost: 0,
    lostRecords: [],
    explained: { deadLetters: 0, repeats: 4 },
  });
});

test('it reports no loss for repeats, corrections, late events and dead letters', async () => {
  const events = await requests(upTo(40));
  const meter = numbered(meterEvent('other'), 41);
  const named = { event_id: meter.id, event_source: meter.source };
  const correction = numbered(meterEvent('other', { type: voidEventType, data: named }), 43);
  await send([
    ...events,
    meter,
    numbered({ ...meter }, 42),
    correction,
    numbered(requestEvent('late', { timeMs: Date.now() - 40 * 86_400_000 }), 44),
    numbered(requestEvent('future', { timeMs: Date.now() + 86_400_000 }), 45),
  ]);
  await send(events.slice(0, 5));
  await fixture.fixture.produce([{ tenant: 'other', value: correction, headers: resentHeaders }]);
  await drained();
  expect(await audit()).toMatchObject({
    lost: 0,
    lostRecords: [],
    missingSequences: {},
    setBack: [],
    counters: [],
    disagreements: [],
    explained: { deadLetters: 1, corrections: 0 },
    cut: false,
  });
});

test('it finds deleted rows by place, tenant and event id', async () => {
  const events = await requests(upTo(30));
  await send(events);
  await drained();
  await fixture.fixture.clickhouse.command(
    'ALTER TABLE stored_events DELETE WHERE sequence IN (5, 6) SETTINGS mutations_sync = 2',
  );
  const report = await audit();
  const wanted = events.slice(4, 6).map(({ id, subject }) => ({ event_id: id, tenant_id: subject }));
  expect(report.lost).toBe(2);
  expect(report.lostRecords).toEqual(wanted.map((one) => expect.objectContaining(one) as unknown));
  expect(report.disagreements).toMatchObject([{ events: 28, by_minute: 30 }]);
});

test('it finds an offset that was committed and never read', async () => {
  await send(await requests(upTo(10)));
  await drained();
  await fixture.aggregator.stop();
  const skipped = numbered(requestEvent('tenant-1'), 11);
  await send([skipped]);
  await skipAll();
  const report = await audit();
  expect(report.lostRecords).toMatchObject([{ event_id: skipped.id, tenant_id: 'tenant-1' }]);
  // If it is unknown up to which time usage is complete, Redis is not compared: the result is null, which does not mean
  // equal.
  expect(report).toMatchObject({ lost: 1, missingSequences: {}, counters: null });
});

test('it finds a sequence number that reached neither Kafka nor ClickHouse, also at the end of a run', async () => {
  const events = await requests(upTo(12));
  await send(events.filter(({ spoolsequence }) => spoolsequence !== 7 && (spoolsequence ?? 0) < 11));
  await send(await requests([13, 14], run('bb', 13)));
  await drained();
  const report = await audit();
  expect(report.missingSequences).toEqual({
    [`node-1 ${run('aa')}`]: [
      { from: 7, to: 7 },
      { from: 11, to: 12 },
    ],
  });
  expect(report.lost).toBe(3);
  // Redis counted the three events, so its counters are above ClickHouse by three.
  expect(report.counters?.reduce((sum, { redis: used, clickhouse }) => sum + used - clickhouse, 0)).toBe(3);
});

test('a sequence number that an older copy of the spool used again hides no loss', async () => {
  await send(await requests(upTo(10)));
  const again = await requests([6, 7, 8, 9], run('bb', 6));
  await send(again.filter(({ spoolsequence }) => spoolsequence !== 8));
  await drained();
  const set = `node-1 ${run('bb', 6)}`;
  expect(await audit()).toMatchObject({
    lost: 1,
    setBack: [set],
    missingSequences: { [set]: [{ from: 8, to: 8 }] },
  });
});

test('a new disk of a node with the same name is no loss', async () => {
  await send(await requests(upTo(10)));
  const fresh = spoolRunName({ folder: 'f2', openedAtMs: openedAtMs + 5_000, salt: 'cc', first: 1 });
  await send(await requests([1, 2, 3], fresh));
  await drained();
  expect(await audit()).toMatchObject({ lost: 0, setBack: [], missingSequences: {} });
});

test('it finds units that Redis counted and ClickHouse never received, and reports them in the metrics', async () => {
  await send(await requests(upTo(10)));
  await spend('tenant-0', 7);
  await drained();
  const difference = { tenant_id: 'tenant-0', quota: 'day', route: null, redis: 12, clickhouse: 5 };
  const registry = new Registry();
  const reported: ProcessReport[] = [];
  let running = 0;
  let most = 0;
  const loop = startLossAudit({
    audit: async () => {
      most = Math.max(most, (running += 1));
      try {
        return await audit();
      } finally {
        running -= 1;
      }
    },
    intervalMs: 50,
    reports: { write: (report) => Promise.resolve(void reported.push(report)) },
    clock: systemClock,
    registry,
    logger,
  });
  const foundLoss = /^tollgate_audit_runs_total\{outcome="loss"\} [1-9]/m;
  await eventually(async () => foundLoss.test(await registry.metrics()));
  await loop.close();
  expect(await registry.metrics()).toContain('tollgate_audit_missing_events{kind="counter"} 7');
  expect(most).toBe(1);
  expect(reported.slice(0, 2)).toMatchObject([
    { kind: 'loss-audit', is_failed: false, units_ahead: 7 },
    { kind: 'last-loss', is_failed: false, units_ahead: 7 },
  ]);
  expect((await audit()).counters).toEqual([difference]);
});
