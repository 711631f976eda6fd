// Goal: a change of a credential applies in every process within a second.
import { afterAll, beforeAll, expect, test } from 'vitest';
import { runPolicy } from '../support/policy-run.ts';
import type { PolicyRun } from '../support/policy-run.ts';
import { eventually, uniqueName } from '../support/servers.ts';

let run: PolicyRun;
beforeAll(async () => {
  run = await runPolicy('default', { services: ['gateway', 'admin', 'aggregator'] });
});
afterAll(() => run.stop());

test('an API key is accepted at once after its creation, and refused within a second of its expiry', async () => {
  const endMs = Date.now() + 6_000;
  const tenant = uniqueName('key');
  const created = await run.admin(`POST /admin/v1/tenants/${tenant}/api-keys`, {
    name: 'short',
    expires_at: new Date(endMs).toISOString(),
  });
  expect(created.status).toBe(201);
  const call = () => run.call('GET /', { headers: { 'x-api-key': String(created.body['api_key']) } });
  await eventually(async () => (await call()).status === 200, { timeoutMs: 5_500 });
  let lastAcceptedMs = 0;
  const refused = await eventually(
    async () => {
      const startedMs = Date.now();
      const response = await call();
      if (response.status !== 200) return response;
      lastAcceptedMs = startedMs;
      return null;
    },
    { intervalMs: 20 },
  );
  expect(refused).toMatchObject({
    status: 401,
    body: { detail: `The API key expired at ${new Date(endMs).toISOString()}; create a new one.` },
  });
  expect(Date.now()).toBeGreaterThanOrEqual(endMs);
  expect(lastAcceptedMs).toBeLessThan(endMs + 1_000);
  const keys = () =>
    run.clickhouse.query('SELECT DISTINCT api_key FROM usage_events WHERE tenant_id = {tenant:String}', {
      tenant,
    });
  const stored = await eventually(
    async () => {
      const rows = await keys();
      return rows.length > 0 ? rows : null;
    },
    { timeoutMs: 20_000 },
  );
  expect(stored, 'events name the key').toEqual([{ api_key: String(created.body['sha256']).slice(0, 12) }]);
});

test('a flood of invalid credentials writes few events, whose weights add up to the number of requests', async () => {
  const total = 4_000;
  const responses = await run.calls(total, 'GET /', { token: 'not-a-token' }, 40);
  const refused = responses.filter(({ status }) => status === 401).length;
  expect(refused).toBeGreaterThanOrEqual(50);
  expect(responses.every(({ status }) => status === 401 || status === 429)).toBe(true);
  const [row] = await eventually(
    async () => {
      const rows = await run.clickhouse.query<{ events: number; requests: number; full: number }>(
        `SELECT count() AS events, sum(toUInt64OrDefault(properties['sample_weight'], toUInt64(1))) AS requests,
                countIf(status = 401) AS full
         FROM usage_events WHERE has(limited_by, 'unauthenticated')`,
      );
      return Number(rows[0]?.full) >= 50 && Number(rows[0]?.requests) > total / 2 ? rows : null;
    },
    { timeoutMs: 30_000, intervalMs: 200 },
  );
  expect(Number(row?.events)).toBeLessThan(400);
  // 39 sampled events of weight 100 are expected. The sum is outside these bounds in one run in a hundred thousand.
  expect(Number(row?.requests)).toBeGreaterThan(total - 2_700);
  expect(Number(row?.requests)).toBeLessThan(total + 2_900);
});
