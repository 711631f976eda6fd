// Goal: the cost of an event is in every total to the last decimal, from Kafka to the response of the API.
import { afterAll, beforeAll, expect, test } from 'vitest';
import { costOf, moneyText, priceOf, statedMoney } from '../../../shared/domain/money.ts';
import { eventually, uniqueName } from '../../support/servers.ts';
import { policy, service } from '../gateway/api.ts';
import { as, startGateway } from '../gateway/gateway.ts';
import type { TestGateway } from '../gateway/gateway.ts';
import { createFixture } from './fixture.ts';
import type { Fixture } from './fixture.ts';
import { meterEvent, requestEvent } from './events.ts';

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
    { timeoutMs: 30_000, intervalMs: 100 },
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
  await publish(
    tenant,
    costs.map((cost) => requestEvent(tenant, { data: { cost } })),
  );
  const sum = moneyText(costs.reduce((all, cost) => all + (statedMoney(cost) ?? 0n), 0n));
  await expectSum(tenant, sum);
  const response = await fetch(`${gateway.apiUrl}/v1/usage`, { headers: await as(tenant) });
  const body = await response.text();
  expect(response.headers.get('content-type')).toContain('application/json');
  expect(body).toContain(`"cost":${sum}`);
  expect(JSON.parse(body)).toMatchObject({ tenant_id: tenant, today: { requests: 3, cost: 100_000_000.3 } });
  const ofService = await fetch(`${gateway.apiUrl}/v1/usage?tenant_id=${tenant}`, { headers: service });
  expect(await ofService.text()).toContain(`"cost":${sum}`);
});
