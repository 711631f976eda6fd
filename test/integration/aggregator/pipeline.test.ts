// Goal: every event counts once, at every level, with a real aggregator between real Kafka and ClickHouse.
import { afterEach, describe, expect, test } from 'vitest';
import { amendEventType, voidEventType } from '../../../shared/domain/events/correction.ts';
import { moneyOf } from '../../../shared/domain/money.ts';
import type { TenantTotals } from '../../../shared/domain/topics/totals.ts';
import { listDeadLetters } from '../../../shared/kafka/dead-letters/dead-letters.ts';
import { replayDeadLetter } from '../../../shared/kafka/dead-letters/replay.ts';
import { createProducer } from '../../../shared/kafka/producer/producer.ts';
import { readTable } from '../../../shared/kafka/tables/table.ts';
import { createRegistry } from '../../../shared/runtime/http/ops.ts';
import { completeThrough, decisionById, todayTotals } from '../../../shared/clickhouse/queries/usage.ts';
import { periodAt } from '../../../shared/domain/time/calendar.ts';
import { eventually } from '../../support/servers.ts';
import { allEqual, counts, createFixture } from './fixture.ts';
import type { Fixture } from './fixture.ts';
import { meterEvent, requestEvent } from './events.ts';

let fixture: Fixture;
afterEach(() => fixture.dispose());

async function untilCounted(expected: number): Promise<void> {
  await eventually(async () => {
    const row = await counts(fixture.clickhouse);
    expect(allEqual(row, expected), JSON.stringify(row)).toBe(true);
    return true;
  });
}

/** Reads a topic from its beginning. */
async function valuesOf<Value>(topic: string, wanted: (values: Value[]) => boolean): Promise<Value[]> {
  const values: Value[] = [];
  const table = readTable<Value>(fixture.kafka, {
    topic,
    name: 'test',
    decode: (value) => JSON.parse(value.toString()) as Value,
    onChange: (_key, value) => {
      if (value !== null) values.push(value);
    },
    registry: createRegistry('test'),
  });
  try {
    await eventually(() => wanted(values));
    return values;
  } finally {
    await table.close();
  }
}

describe('what the aggregator counts', () => {
  test('a duplicate, a redelivery in other blocks and a late event are each counted once at every level', async () => {
    fixture = await createFixture();
    const events = Array.from({ length: 500 }, (_, index) =>
      requestEvent(`tenant-${index % 7}`, {
        data: { sequence: index, decision: index % 5 === 0 ? 'limited' : 'allowed' },
      }),
    );
    const late = requestEvent('tenant-1', { timeMs: Date.now() - 40 * 86_400_000 });
    const records = [...events, late].map((value) => ({ tenant: value.subject, value }));
    const aggregator = fixture.start({ blockRowsMax: 100 });
    await fixture.produce(records);
    await fixture.produce(records.slice(0, 250));
    await untilCounted(501);
    await aggregator.stop();
    // A second consumer group reads all records again, in batches of another size.
    await fixture.produce(records.toReversed());
    fixture.start({ blockRowsMax: 37 });
    await fixture.produce([{ tenant: 'tenant-0', value: requestEvent('tenant-0') }]);
    await untilCounted(502);
  });

  test('invalid events become dead letters with a reason, and the other events of their block are stored', async () => {
    fixture = await createFixture();
    const now = Date.now();
    const noDecision = requestEvent('acme');
    const bad: unknown[] = [
      'this is not JSON',
      '[1, 2]',
      { ...requestEvent('acme'), specversion: '0.3' },
      { ...requestEvent('acme'), subject: '' },
      { ...noDecision, data: { ...noDecision.data, decision: undefined } },
      requestEvent('acme', { data: { units: -1 } }),
      requestEvent('acme', { timeMs: 0, id: 'epoch' }),
      requestEvent('acme', { timeMs: Date.UTC(2100, 0, 1) }),
      { ...requestEvent('acme'), time: 'yesterday' },
      meterEvent('acme', { data: { text: 'x'.repeat(300_000) } }),
      { ...requestEvent('acme'), type: voidEventType, data: { event_id: 'never-seen' } },
    ];
    const good = [requestEvent('acme', { timeMs: now }), meterEvent('acme')];
    fixture.start();
    await fixture.produce([...bad, ...good].map((value) => ({ tenant: 'acme', value })));
    await untilCounted(2);
    const letters = await eventually(async () => {
      const found = await listDeadLetters(fixture.kafka, fixture.topics.deadLetters, { limit: 100 });
      return found.length === bad.length ? found : null;
    });
    expect(letters.map(({ reason }) => reason.replace(/has 300\d+ bytes/, 'has 300,… bytes')).sort()).toEqual(
      [
        'the event is not JSON',
        'the event is not a JSON object',
        'specversion must be "1.0"',
        'subject is empty',
        'data.decision is missing',
        'data.units must be a number from 0 to 1000000000000',
        'time is more than 399 days ago, longer than raw events can be added to totals',
        'time is more than 60 minutes in the future',
        'time must be an RFC 3339 time, e.g. 2026-11-01T00:00:00Z',
        'the event has 300,… bytes, more than 262144',
        'the event to correct, never-seen, does not exist',
      ].sort(),
    );
    const notJson = letters.find(({ reason }) => reason === 'the event is not JSON');
    expect(notJson).toMatchObject({
      topic: fixture.topics.usage,
      key: 'acme',
      value: Buffer.from('this is not JSON'),
    });
  });

  test('a dead letter that has become valid counts once, also after several replays', async () => {
    fixture = await createFixture();
    fixture.start();
    const order = meterEvent('acme', { id: 'order-1', data: { units: 10 } });
    const early = { ...meterEvent('acme'), type: amendEventType, data: { event_id: 'order-1', units: 4 } };
    await fixture.produce([{ tenant: 'acme', value: early }]);
    const [letter] = await eventually(async () => {
      const found = await listDeadLetters(fixture.kafka, fixture.topics.deadLetters, { limit: 10 });
      return found.length > 0 ? found : null;
    });
    await fixture.produce([{ tenant: 'acme', value: order }]);
    await untilCounted(1);
    const producer = createProducer(fixture.kafka, { registry: createRegistry('test') });
    const service = { kafka: fixture.kafka, producer, topic: fixture.topics.deadLetters };
    for (const id of [letter!.id, letter!.id]) expect(await replayDeadLetter(service, id)).toBe(true);
    for (const id of ['0-999999', 'nonsense']) expect(await replayDeadLetter(service, id)).toBe(false);
    await producer.close();
    await eventually(async () => (await counts(fixture.clickhouse)).units_by_day === 4);
    await untilCounted(1);
  });

  test('an external id counts once, also when it comes again with another time and content', async () => {
    fixture = await createFixture();
    fixture.start({ blockRowsMax: 2 });
    const first = meterEvent('acme', { id: 'order-1', timeMs: Date.now() - 7_200_000, data: { units: 5 } });
    const again = meterEvent('acme', { id: 'order-1', data: { units: 50 } });
    await fixture.produce([{ tenant: 'acme', value: first }]);
    await untilCounted(1);
    await fixture.produce([
      { tenant: 'acme', value: again },
      { tenant: 'acme', value: first },
      { tenant: 'other', value: { ...again, subject: 'other' } },
      { tenant: 'acme', value: { ...again, source: 'other-app' } },
    ]);
    await untilCounted(3);
    const rows = await fixture.clickhouse.query(
      'SELECT event_id, units FROM usage_events ORDER BY units, tenant_id, source',
    );
    expect(rows).toEqual([
      { event_id: 'order-1', units: 5 },
      { event_id: 'order-1', units: 50 },
      { event_id: 'order-1', units: 50 },
    ]);
  });

  test('an amended event changes the totals, a voided one is removed from them, and repeats change nothing', async () => {
    fixture = await createFixture();
    fixture.start({ blockRowsMax: 3 });
    const request = requestEvent('acme', { data: { units: 3 } });
    const order = meterEvent('acme', { id: 'order-1', data: { units: 10 } });
    const other = meterEvent('acme', { id: 'order-2', data: { units: 100 } });
    const amend = { ...meterEvent('acme'), type: amendEventType, data: { event_id: 'order-1', units: 7 } };
    const voidRequest = { ...meterEvent('acme'), type: voidEventType, data: { event_id: request.id } };
    const voidOther = { ...meterEvent('acme'), type: voidEventType, data: { event_id: 'order-2' } };
    const send = (...values: unknown[]) =>
      fixture.produce(values.map((value) => ({ tenant: 'acme', value })));
    await send(request, order, other);
    await untilCounted(3);
    await send(amend, voidRequest);
    await untilCounted(2);
    await send(voidOther, order, amend);
    await untilCounted(1);
    const row = await counts(fixture.clickhouse);
    expect([row.units, row.units_by_day]).toEqual([7, 7]);
  });

  test('announced totals equal those in ClickHouse, with the instant up to which they are complete', async () => {
    fixture = await createFixture();
    fixture.start();
    const before = Date.now();
    const events = [
      requestEvent('acme'),
      requestEvent('acme', { data: { decision: 'limited', status: 429, limited_by: ['minute'] } }),
      requestEvent('acme', { data: { decision: 'bypassed', units: 4 } }),
      requestEvent('acme', { data: { decision: 'shadow_limited', units: 2, status: 500 } }),
    ];
    await fixture.produce(events.map((value) => ({ tenant: 'acme', value })));
    const announced = await valuesOf<TenantTotals>(
      fixture.topics.totals,
      (values) => values.at(-1)?.day.requests === 4,
    );
    const { day, month, day_by_route, plan } = announced.at(-1)!;
    expect(day).toMatchObject({
      requests: 4,
      allowed: 2,
      limited: 1,
      bypassed: 1,
      errors: 1,
      units: 7,
      consumed: 3,
      cost: 1.5,
    });
    expect(month).toMatchObject({ requests: 4, consumed: 3 });
    expect([day_by_route, plan]).toEqual([{ 'POST /agent/chat': 3 }, 'pro']);
    const through = await eventually(async () => {
      const instant = await completeThrough(fixture.clickhouse);
      return instant !== null && Date.parse(instant) > before ? instant : null;
    });
    expect(Date.parse(through)).toBeLessThanOrEqual(Date.now());
    const idle = Date.parse(through);
    await eventually(async () => Date.parse((await completeThrough(fixture.clickhouse)) ?? '') > idle);
    const today = periodAt('day', null, Date.now());
    expect(await todayTotals(fixture.clickhouse, 'acme', today)).toEqual({
      requests: 4,
      allowed: 2,
      limited: 1,
      units: 7,
      cost: moneyOf(1.5),
      quantities: {},
      reserved: {},
    });
    const found = await decisionById(fixture.clickhouse, events[1]!.id);
    expect(found).toMatchObject({
      event_id: events[1]!.id,
      decision: 'limited',
      limited_by: ['minute'],
      source: 'tollgate/node-1',
    });
  });

  test('C2: totals that are too large for a record are announced without routes, and delay no other tenant', async () => {
    fixture = await createFixture();
    fixture.start();
    const wide = Array.from({ length: 2_400 }, (_, index) =>
      meterEvent('wide', { data: { units: 1, route: `${index} `.padEnd(500, 'r') } }),
    );
    for (let from = 0; from < wide.length; from += 600) {
      await fixture.produce(wide.slice(from, from + 600).map((value) => ({ tenant: 'wide', value })));
    }
    await fixture.produce([{ tenant: 'other', value: meterEvent('other') }]);
    const announced = await valuesOf<TenantTotals>(fixture.topics.totals, (values) =>
      [2_400, 0].every((consumed, index) =>
        values.some(
          (totals) => totals.tenant_id === ['wide', 'other'][index] && totals.day.consumed === consumed,
        ),
      ),
    );
    const totals = announced.findLast(({ tenant_id }) => tenant_id === 'wide');
    expect(totals).not.toHaveProperty('day_by_route');
    expect(announced.find(({ tenant_id }) => tenant_id === 'other')).toHaveProperty('day_by_route');
  });

  test('C2: totals that Kafka refuses become a dead letter of their tenant, and those of other tenants are announced', async () => {
    fixture = await createFixture();
    await limitRecords(fixture.topics.totals, 1_000);
    fixture.start();
    const wide = Array.from({ length: 10 }, (_, index) =>
      meterEvent('wide', { data: { units: 1, route: `${index} `.padEnd(100, 'r') } }),
    );
    await fixture.produce([...wide, meterEvent('other')].map((value) => ({ tenant: value.subject, value })));
    const isOther = ({ tenant_id }: TenantTotals): boolean => tenant_id === 'other';
    await valuesOf<TenantTotals>(fixture.topics.totals, (values) => values.some(isOther));
    const letter = await eventually(
      async () => (await listDeadLetters(fixture.kafka, fixture.topics.deadLetters, { limit: 10 }))[0],
    );
    expect(letter).toMatchObject({ topic: fixture.topics.totals, tenantId: 'wide', partition: null });
    expect(letter.reason).toMatch(/^the totals could not be announced: /);
  });
});

/** Kafka's `ConfigResource.Type.TOPIC`. */
const topicResource = 2;
async function limitRecords(topic: string, bytesMax: number): Promise<void> {
  const connection = fixture.kafka.open();
  const admin = connection.client.admin();
  await admin.connect();
  await admin.alterConfigs({
    validateOnly: false,
    resources: [
      {
        // eslint-disable-next-line @typescript-eslint/no-unsafe-enum-assignment -- its enum is only imported in shared/kafka
        type: topicResource,
        name: topic,
        configEntries: [{ name: 'max.message.bytes', value: String(bytesMax) }],
      },
    ],
  });
  connection.destroy();
}
