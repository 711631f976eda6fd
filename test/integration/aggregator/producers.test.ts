// Goal: events that external producers write to the usage topic are counted once, in any form and with any key.
// Method: a real aggregator between real Kafka and the real ClickHouse engine.
import { afterEach, beforeEach, expect, test } from 'vitest';
import { amendEventType } from '../../../shared/domain/events/correction.ts';
import { listDeadLetters } from '../../../shared/kafka/dead-letters/dead-letters.ts';
import { replayDeadLetter } from '../../../shared/kafka/dead-letters/replay.ts';
import { createProducer } from '../../../shared/kafka/producer/producer.ts';
import { createRegistry } from '../../../shared/runtime/http/ops.ts';
import { eventually } from '../../support/servers.ts';
import { allEqual, counts, createFixture } from './fixture.ts';
import type { Fixture } from './fixture.ts';
import { meterEvent } from './events.ts';

let fixture: Fixture;
beforeEach(async () => {
  fixture = await createFixture();
});
afterEach(() => fixture.dispose());

const structured = { 'content-type': 'application/cloudevents+json; charset=utf-8' };

function binary(id: string, more: Readonly<Record<string, string>> = {}) {
  const time = new Date().toISOString();
  const attributes = {
    ce_specversion: '1.0',
    ce_id: id,
    ce_source: 'shop',
    ce_type: 'orders',
    ce_time: time,
  };
  return { ...attributes, ce_subject: 'acme', 'content-type': 'application/json', ...more };
}

async function untilCounted(expected: number): Promise<void> {
  await eventually(async () => {
    const row = await counts(fixture.clickhouse);
    expect(allEqual(row, expected), JSON.stringify(row)).toBe(true);
    return true;
  });
}

async function lettersOf(expected: number) {
  return eventually(async () => {
    const letters = await listDeadLetters(fixture.kafka, fixture.topics.deadLetters, { limit: 100 });
    return letters.length === expected ? letters : null;
  });
}

test('structured and binary events count for their tenant, with attributes, extensions and data', async () => {
  fixture.start();
  const event = meterEvent('acme', { id: 's1', data: { units: 2, model: 'small' } });
  await fixture.produce([
    { tenant: 'acme', value: { ...event, traceparent: '00-ab' }, headers: structured },
    {
      tenant: 'acme',
      value: '{"units":3,"user_id":"ada","model":"groß"}',
      headers: binary('b1 größer', { ce_traceparent: '00-cd', ce_dataschema: 'urn:s', other: 'x' }),
    },
    { tenant: 'acme', value: '', headers: binary('b2') },
  ]);
  await untilCounted(3);
  const rows = await fixture.clickhouse.query(
    'SELECT event_id, source, type, user_id, units, properties FROM usage_events ORDER BY event_id',
  );
  expect(rows).toEqual([
    {
      event_id: 'b1 größer',
      source: 'shop',
      type: 'orders',
      user_id: 'ada',
      units: 3,
      properties: { model: 'groß', ce_traceparent: '00-cd', ce_dataschema: 'urn:s' },
    },
    { event_id: 'b2', source: 'shop', type: 'orders', user_id: '', units: 0, properties: {} },
    {
      event_id: 's1',
      source: 'billing-app',
      type: 'tokens.used',
      user_id: '',
      units: 2,
      properties: { model: 'small', ce_traceparent: '00-ab' },
    },
  ]);
});

test('an event is counted once for its subject, also when its copies have different keys and partitions', async () => {
  const keys = Array.from({ length: 40 }, (_, index) => `key-${index}`);
  const event = meterEvent('acme', { id: 'order-1', data: { units: 5 } });
  const headers = binary('order-2');
  fixture.start({ blockRowsMax: 7 });
  await fixture.produce(
    keys.flatMap((tenant) => [
      { tenant, value: event, headers: structured },
      { tenant, value: '{"units":7}', headers },
    ]),
  );
  await untilCounted(2);
  expect((await counts(fixture.clickhouse)).units_by_day).toBe(12);
  await fixture.produce(keys.map((tenant) => ({ tenant, value: event })));
  await fixture.produce([{ tenant: 'z', value: '{"units":1}', headers: binary('order-3') }]);
  await untilCounted(3);
  const tenants = await fixture.clickhouse.query('SELECT DISTINCT tenant_id FROM usage_by_day');
  expect(tenants).toEqual([{ tenant_id: 'acme' }]);
});

test('records that break JSON readers become dead letters, and the records behind them are counted', async () => {
  fixture.start();
  const deep = '['.repeat(20_000) + ']'.repeat(20_000);
  const event = JSON.stringify(meterEvent('acme', { data: { deep: '?' } }));
  const bytes = Buffer.from(JSON.stringify(meterEvent('acme', { data: { user_id: '?' } })));
  bytes[bytes.indexOf('?')] = 0xff;
  const bad = [
    event.replace('"?"', deep),
    event.replace('"?"', '{"a":'.repeat(20_000) + '1' + '}'.repeat(20_000)),
    event.replace('{"deep":"?"}', deep),
    `{"extension":${deep},${event.slice(1)}`,
    deep,
    bytes,
    JSON.stringify(meterEvent('acme', { data: { units: 1.7e308 } })),
  ];
  await fixture.produce(bad.map((value) => ({ tenant: 'acme', value })));
  await fixture.produce([
    { tenant: 'acme', value: deep, headers: binary('deep') },
    { tenant: 'acme', value: '[]', headers: { 'content-type': 'application/cloudevents-batch+json' } },
    { tenant: 'acme', value: meterEvent('acme') },
    { tenant: 'acme', value: '{"units":1}', headers: binary('good') },
  ]);
  await untilCounted(2);
  const letters = await lettersOf(bad.length + 2);
  // As over HTTP, the nesting depth is checked first, also if the event or its `data` is a list.
  expect(letters.filter(({ reason }) => reason === 'the event is nested deeper than 32 levels')).toHaveLength(
    5,
  );
  expect(letters.map(({ reason }) => reason)).toContain('data is nested deeper than 32 levels');
  expect(letters.map(({ reason }) => reason)).toContain('the event is not UTF-8');
});

test('a binary event that became a dead letter is replayed with its attributes', async () => {
  fixture.start();
  const amend = binary('a1', { ce_type: amendEventType, ce_source: 'billing-app' });
  await fixture.produce([{ tenant: 'acme', value: '{"event_id":"order-1","units":4}', headers: amend }]);
  const [letter] = await lettersOf(1);
  expect(letter).toMatchObject({
    reason: expect.stringContaining('does not exist') as unknown,
    headers: amend,
  });
  await fixture.produce([
    { tenant: 'acme', value: meterEvent('acme', { id: 'order-1', data: { units: 10 } }) },
  ]);
  await untilCounted(1);
  const producer = createProducer(fixture.kafka, { registry: createRegistry('test') });
  const service = { kafka: fixture.kafka, producer, topic: fixture.topics.deadLetters };
  expect(await replayDeadLetter(service, letter!.id)).toBe(true);
  await producer.close();
  await eventually(async () => (await counts(fixture.clickhouse)).units_by_day === 4);
  await untilCounted(1);
});

test('a correction that a client publishes again changes nothing, unless its first copy became a dead letter', async () => {
  fixture.start();
  const amend = (id: string, event: string, units: number) => ({
    tenant: 'acme',
    value: meterEvent('acme', { id, type: amendEventType, data: { event_id: event, units } }),
  });
  const meter = (id: string, units: number) => ({
    tenant: 'acme',
    value: meterEvent('acme', { id, data: { units } }),
  });
  await fixture.produce([amend('early', 'late', 300)]);
  await lettersOf(1);
  // The id of a correction may equal that of its event.
  await fixture.produce([meter('order', 1), amend('order', 'order', 10), amend('second', 'order', 20)]);
  await eventually(async () => (await counts(fixture.clickhouse)).units_by_day === 20);
  await fixture.produce([amend('order', 'order', 10), meter('late', 100), amend('early', 'late', 300)]);
  await eventually(async () => (await counts(fixture.clickhouse)).units_by_day === 320);
  await fixture.produce([amend('third', 'late', 400), amend('early', 'late', 300), meter('end', 1_000)]);
  await eventually(async () => (await counts(fixture.clickhouse)).units_by_day === 1_420);
});
