import { afterAll, beforeAll, expect, test } from 'vitest';
import { createClickHouse } from '../../../../shared/clickhouse/client.ts';
import type { ClickHouse } from '../../../../shared/clickhouse/client.ts';
import { migrate } from '../../../../shared/clickhouse/migrate.ts';
import { servers, uniqueName, uniqueNamespace } from '../../../support/servers.ts';
import { storeUsage } from '../../../support/stored-usage.ts';
import { as, serviceToken, startGateway } from '../gateway.ts';
import type { TestGateway } from '../gateway.ts';
import { budgetPolicy } from './budget-gateway.ts';

const { database } = uniqueNamespace();
const tenant = uniqueName('acme');
let clickhouse: ClickHouse;
let gateway: TestGateway;
let id = '';

beforeAll(async () => {
  clickhouse = createClickHouse({ url: servers().clickhouseUrl, database });
  await migrate(clickhouse);
  const reserved = { tokens: 1000, usd: '0.0037' };
  const call = { route: 'POST /v1/chat/completions', model: 'small-1', quantities: reserved, reserved };
  await storeUsage(clickhouse, [{ timeMs: Date.now() - 60_000, tenant, reservation: 'open', ...call }]);
  const [row] = await clickhouse.query<{ event_id: string }>('SELECT event_id FROM usage_events');
  id = row?.event_id ?? '';
  gateway = await startGateway({ policy: budgetPolicy, database });
});

afterAll(async () => {
  await gateway.close();
  await clickhouse.command(`DROP DATABASE ${database} SYNC`);
  await clickhouse.close();
});

async function settle(headers: Record<string, string>, call = id): Promise<Response> {
  const usage = { input_tokens: 100, output_tokens: 50 };
  return fetch(`${gateway.apiUrl}/v1/reservations/${call}/settle`, {
    method: 'POST',
    headers: { ...headers, 'content-type': 'application/json' },
    body: JSON.stringify({ tenant_id: tenant, usage, status: 200 }),
  });
}

test('F2: a service settles a call whose reservation Redis has lost: its stored event is corrected', async () => {
  const response = await settle({ 'x-service-token': serviceToken });
  expect(response.status).toBe(200);
  expect(await response.json()).toMatchObject({ amounts: { tokens: 150, usd: 0.0003 }, result: 'missing' });
  expect(gateway.events).toMatchObject([
    { data: { event_id: id, cost: 0.0003, reservation: { state: 'settled', number: 1 } } },
  ]);
});

test('C3: a tenant cannot settle a stored call, and an id without a call is unknown', async () => {
  expect((await settle(await as(tenant))).status).toBe(404);
  const unknown = '019ac0c8-0000-7000-8000-000000000000';
  expect((await settle({ 'x-service-token': serviceToken }, unknown)).status).toBe(404);
});
