// Goal: the cost of an event is in every total to the last decimal, from Kafka to the response of the API.
import { afterAll, beforeAll, expect, test } from 'vitest';
import { costOf, moneyText, priceOf, statedMoney } from '../../../shared/domain/money.ts';
import type { Money } from '../../../shared/domain/money.ts';
import { eventually, uniqueName } from '../../support/servers.ts';
import { policy, service } from '../gateway/api.ts';
import { as, startGateway } from '../gateway/gateway.ts';
import type { TestGateway } from '../gateway/gateway.ts';
import { createFixture } from './fixture.ts';
import type { Fixture } from './fixture.ts';
import { meterEvent, requestEvent, settlementOf } from './events.ts';

let fixture: Fixture;
let gateway: TestGateway;

beforeAll(async () => {
  fixture = await createFixture();
  gateway = await startGateway({ policy, database: fixture.database });
  fixture.start();
});

afterAll(async () => {
  await gateway.close();
  await fixture.clickhouse.command(`DROP DATABASE IF EXISTS ${fixture.database}`);
  await fixture.dispose();
});

async function publish(tenant: string, values: readonly object[]): Promise<void> {
  await fixture.produce(values.map((value) => ({ tenant, value })));
}

async function levels(tenant: string): Promise<string[]> {
  const [row] = await fixture.clickhouse.query<{ sums: string[] }>(
    `SELECT [
      (SELECT toString(sum(e.cost)) FROM usage_events AS e WHERE tenant_id = {tenant:String}),
      (SELECT toString(sum(m.cost)) FROM usage_by_minute AS m WHERE tenant_id = {tenant:String}),
      (SELECT toString(sum(h.cost)) FROM usage_by_hour AS h WHERE tenant_id = {tenant:String}),
      (SELECT toString(sum(d.cost)) FROM usage_by_day AS d WHERE tenant_id = {tenant:String})] AS sums`,
    { tenant },
  );
  return row?.sums ?? [];
}

async function expectSum(tenant: string, expected: string): Promise<void> {
  await eventually(
    async () => {
      expect(await levels(tenant)).toEqual([expected, expected, expected, expected]);
      return true;
    },
    { intervalMs: 100 },
  );
}

test('E6: the sums of costs are exact on every level, for any price and any units', async () => {
  const seed = Date.now() % 1_000_000;
  console.log(`money in the pipeline: seed ${seed}`);
  let state = seed;
  const random = (below: number): number => {
    state = (state * 1_103_515_245 + 12_345) % 2 ** 31;
    return state % below;
  };
  const tenant = uniqueName('exact');
  let expected = 0n;
  const events = Array.from({ length: 500 }, () => {
    const digits = BigInt(random(10 ** 9)) + 1n;
    const units = random(1_000) + 1;
    const decimals = random(13);
    const price = Number(`${digits}e-${decimals}`);
    const cost = costOf(units, priceOf(price));
    if (Number(cost) > 10 ** 9) return requestEvent(tenant, { data: { units, cost: 0 } });
    expected += digits * BigInt(units) * 10n ** BigInt(12 - decimals);
    return requestEvent(tenant, { data: { units, cost } });
  });
  await publish(tenant, events);
  await expectSum(tenant, moneyText(expected));
});

test('a cost may be a number or a decimal text, and a correction replaces it', async () => {
  const tenant = uniqueName('stated');
  await publish(tenant, [
    meterEvent(tenant, { data: { cost: 0.1 } }),
    meterEvent(tenant, { data: { cost: '0.2' } }),
    meterEvent(tenant, { id: 'large', data: { cost: '123456789.000000000001' } }),
    meterEvent(tenant, { id: 'amended', data: { cost: 5 } }),
  ]);
  await expectSum(tenant, '123456794.300000000001');
  await publish(tenant, [
    meterEvent(tenant, {
      type: 'tollgate.amend.v1',
      data: { event_id: 'amended', event_source: 'billing-app', cost: '0.000000000002' },
    }),
    meterEvent(tenant, {
      type: 'tollgate.void.v1',
      data: { event_id: 'large', event_source: 'billing-app' },
    }),
  ]);
  await expectSum(tenant, '0.300000000002');
});

test('returned units return their cost', async () => {
  const tenant = uniqueName('returned');
  await publish(tenant, [
    requestEvent(tenant, { data: { units: 3, cost: 0.3 } }),
    meterEvent(tenant, { type: 'tollgate.refund.v1', data: { units: 1, cost: 0.1 } }),
  ]);
  await expectSum(tenant, '0.2');
});

test.each(['1e3', '-1', '1,5', '', '1000000000.1', '0.1.2'])(
  'a cost of “%s” makes a dead letter',
  async (cost) => {
    const tenant = uniqueName('odd');
    await publish(tenant, [
      meterEvent(tenant, { data: { cost } }),
      meterEvent(tenant, { data: { cost: 1 } }),
    ]);
    await expectSum(tenant, '1');
    const [row] = await fixture.clickhouse.query<{ events: number }>(
      'SELECT count() AS events FROM usage_events WHERE tenant_id = {tenant:String}',
      { tenant },
    );
    expect(row).toEqual({ events: 1 });
  },
);

test('GET /v1/usage returns the cost of today with all its digits', async () => {
  const tenant = uniqueName('usage');
  const costs = [0.1, 0.2, '100000000.000000000001'] as const;
  const expires = new Date(Date.now() + 600_000).toISOString();
  const reservation = { state: 'open', reserved: { tokens: 7 }, expires_at: expires } as const;
  await publish(
    tenant,
    costs.map((cost, index) =>
      requestEvent(tenant, {
        data: {
          cost,
          ...(index === 0 ? { reservation } : { quantities: { tokens: 4, usd: '0.000000000001' } }),
        },
      }),
    ),
  );
  const sum = moneyText(costs.reduce((all, cost) => all + (statedMoney(cost) ?? 0n), 0n));
  await expectSum(tenant, sum);
  const response = await fetch(`${gateway.apiUrl}/v1/usage`, { headers: await as(tenant) });
  const body = await response.text();
  expect(response.headers.get('content-type')).toContain('application/json');
  expect(body).toContain(`"cost":${sum}`);
  expect(JSON.parse(body)).toMatchObject({ tenant_id: tenant, today: { requests: 3, cost: 100_000_000.3 } });
  expect(JSON.parse(body)).toMatchObject({
    today: { quantities: { tokens: 15, usd: 2e-12 }, reserved: { tokens: 7 } },
  });
  const ofService = await fetch(`${gateway.apiUrl}/v1/usage?tenant_id=${tenant}`, { headers: service });
  expect(await ofService.text()).toContain(`"cost":${sum}`);
});

/** Sums of the amounts of a tenant on every level, and the part of them that is reserved. */
async function amounts(tenant: string): Promise<readonly (readonly [object, object])[]> {
  const text = (map: string): string => `mapApply((k, v) -> (toString(k), toString(v)), sumMap(${map}))`;
  const levels = ['usage_by_minute', 'usage_by_hour', 'usage_by_day'].map(
    (view) =>
      `SELECT ${text('v.quantities')} AS q, ${text('v.reserved')} AS r FROM ${view} AS v WHERE tenant_id = {tenant:String}`,
  );
  const open = `mapFilter((k, v) -> e.reservation = 'open', e.reserved)`;
  const events = `SELECT ${text('e.quantities')} AS q, ${text(open)} AS r FROM usage_events AS e WHERE tenant_id = {tenant:String}`;
  const rows = await fixture.clickhouse.query<{ q: object; r: object }>(
    [events, ...levels].join(' UNION ALL '),
    { tenant },
  );
  return rows.map(({ q, r }) => [q, r]);
}

test('sums of amounts are exact on every level, and a reservation moves to the settled amounts once', async () => {
  const seed = Date.now() % 1_000_000;
  console.log(`amounts in the pipeline: seed ${seed}`);
  let state = seed;
  const random = (below: number): number => (state = (state * 1_103_515_245 + 12_345) % 2 ** 31) % below;
  const amount = (): Money => BigInt(random(10 ** 9)) * 10n ** BigInt(random(12)) + BigInt(random(1_000));
  const tenant = uniqueName('amounts');
  const used: Record<string, Money> = {};
  const reserved: Record<string, Money> = {};
  const add = (sums: Record<string, Money>, name: string, value: Money): void => {
    sums[name] = (sums[name] ?? 0n) + value;
  };
  const calls: ReturnType<typeof requestEvent>[] = [];
  const settlements: object[] = [];
  for (let call = 0; call < 300; call += 1) {
    const names = ['usd', 'tokens', 'pages'].slice(0, 1 + random(3));
    const before = names.map((name) => [name, amount()] as const);
    const after = names.map((name) => [name, amount()] as const);
    const event = requestEvent(tenant, {
      data: {
        ...{ status: 0, model: `model-${random(4)}`, usage_source: 'estimated' as const },
        reservation: {
          ...{
            state: 'open' as const,
            reserved: Object.fromEntries(before.map(([name, value]) => [name, moneyText(value)])),
          },
          expires_at: new Date(Date.now() + 600_000).toISOString(),
        },
      },
    });
    calls.push(event);
    const settled = random(3) > 0;
    for (const [name, value] of settled ? after : before) add(used, name, value);
    if (!settled) for (const [name, value] of before) add(reserved, name, value);
    if (!settled) continue;
    const stated = Object.fromEntries(after.map(([name, value]) => [name, moneyText(value)]));
    // Some settlements are sent late by another gateway, after the settlement that replaced them.
    if (random(3) === 0)
      settlements.push(
        settlementOf(event, 2, { quantities: stated }),
        settlementOf(event, 1, { quantities: { usd: 7 } }),
      );
    else settlements.push(settlementOf(event, 1, { quantities: stated, status: 200 }));
  }
  const texts = (sums: Record<string, Money>): object =>
    Object.fromEntries(Object.entries(sums).map(([name, value]) => [name, moneyText(value)]));
  const expected = [texts(used), texts(reserved)];
  await publish(tenant, calls.slice(0, 200));
  // A second aggregator joins: partitions move while the records are processed, and blocks are read again.
  const second = fixture.start({ blockRowsMax: 50 });
  await publish(tenant, [...calls.slice(100), ...settlements]);
  await publish(tenant, [...calls.slice(0, 50), ...settlements, ...calls.slice(250)]);
  await eventually(
    async () => {
      expect(await amounts(tenant)).toEqual([expected, expected, expected, expected]);
      return true;
    },
    { timeoutMs: 60_000, intervalMs: 200 },
  );
  await second.stop();
});

test('a model that only the settlement names moves the call to the totals of this model', async () => {
  const tenant = uniqueName('regrouped');
  const expires = new Date(Date.now() + 600_000).toISOString();
  const reservation = { state: 'open' as const, reserved: { tokens: 5 }, expires_at: expires };
  const call = requestEvent(tenant, { data: { reservation } });
  await publish(tenant, [call, requestEvent(tenant, { data: { quantities: { tokens: 1 } } })]);
  await expectModels(tenant, { '': [2, 6] });
  await publish(tenant, [settlementOf(call, 1, { model: 'small', quantities: { tokens: 3 } })]);
  await expectModels(tenant, { '': [1, 1], small: [1, 3] });
  const alone = requestEvent(tenant, { data: { reservation, plan: 'other' } });
  await publish(tenant, [alone]);
  await expectModels(tenant, { '': [2, 6], small: [1, 3] });
  await publish(tenant, [settlementOf(alone, 1, { model: 'small', quantities: { tokens: 4 } })]);
  await expectModels(tenant, { '': [1, 1], small: [2, 7] });
});

/** Expects the requests and tokens of each model on every level. */
async function expectModels(
  tenant: string,
  expected: Readonly<Record<string, readonly [number, number]>>,
): Promise<void> {
  const wanted = Object.entries(expected).map(([model, [requests, tokens]]) => ({ model, requests, tokens }));
  await eventually(
    async () => {
      for (const view of ['usage_by_minute', 'usage_by_hour', 'usage_by_day']) {
        const rows = await fixture.clickhouse.query(
          `SELECT model, sum(requests) AS requests, toFloat64(sum(quantities['tokens'])) AS tokens
          FROM ${view} WHERE tenant_id = {tenant:String} GROUP BY model ORDER BY model`,
          { tenant },
        );
        expect(rows).toEqual(wanted);
      }
      return true;
    },
    { intervalMs: 100 },
  );
}
