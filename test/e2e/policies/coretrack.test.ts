import { Redis } from 'ioredis';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { runPolicy, tally } from '../../support/policy-run.ts';
import type { PolicyRun } from '../../support/policy-run.ts';
import { eventually, servers, uniqueName } from '../../support/servers.ts';
import { startServices } from '../../support/services.ts';

let run: PolicyRun;

beforeAll(async () => {
  run = await runPolicy('coretrack');
});

afterAll(() => run.stop());

const chat = 'POST /agent/chat';

const caller = async (
  plan = 'standard',
  tenant = uniqueName(plan),
): Promise<{ token: string; tenant: string }> => ({
  tenant,
  token: await run.token({ tenant_id: tenant, sub: 'ada', plan }),
});

/** Raises the minute limit, so that a test can use up a day's quota, and waits until the gateway has the override. */
const openMinute = async (tenant: string, token: string): Promise<void> => {
  await run.admin(`PUT /admin/v1/tenants/${tenant}`, { overrides: { minute: 100_000 } });
  await eventually(async () => {
    const { headers } = await run.call(chat, { token });
    return headers.get('ratelimit-policy')?.includes('q=100000');
  });
};

test('C1: standard passes 12 a minute', async () => {
  const { token } = await caller();
  const responses = await run.calls(14, chat, { token });
  expect(tally(responses)).toEqual({ 200: 12, 429: 2 });
  expect(responses.at(-1)?.headers.get('ratelimit-policy')).toMatch(
    /"minute";q=12;w=60.*"day";q=400;w=86400/,
  );
});

test.each([
  ['standard', 400],
  ['enterprise', 1000],
])('C1: %s passes %i a day, counted apart from its minutes', async (plan, limit) => {
  const { tenant, token } = await caller(plan);
  await openMinute(tenant, token);
  const responses = await run.calls(limit + 3, chat, { token }, 40);
  const last = await run.call(chat, { token });
  expect(last.status).toBe(429);
  expect(last.body['violated-policies']).toEqual(['day']);
  await eventually(async () => {
    const rows = await run.clickhouse.query<{ allowed: number }>(
      'SELECT sum(allowed) AS allowed FROM usage_by_day WHERE tenant_id = {tenant:String}',
      { tenant },
    );
    return rows[0]?.allowed === limit;
  });
  expect(tally(responses)[429]).toBeGreaterThan(0);
});

test('C2: a tenant that floods does not cost another tenant a single request', async () => {
  const noisy = await caller();
  const quiet = await caller();
  const flood = run.calls(300, chat, { token: noisy.token }, 30);
  expect(tally(await run.calls(12, chat, { token: quiet.token }, 2))).toEqual({ 200: 12 });
  expect(tally(await flood)).toEqual({ 200: 12, 429: 288 });
});

test('C3: support sees a tenant’s requests of the minute and the day, its resets, and until when it is blocked', async () => {
  const { tenant, token } = await caller();
  await run.calls(5, chat, { token });
  const status = (): Promise<Record<string, unknown>> =>
    run.admin(`GET /admin/v1/tenants/${tenant}/status`).then(({ body }) => body);
  expect(await status()).toMatchObject({
    tenant_id: tenant,
    requests_this_minute: 5,
    requests_today: 5,
    blocked: false,
    blocked_until: null,
  });
  await run.calls(8, chat, { token });
  const full = await status();
  expect(full).toMatchObject({ requests_this_minute: 12, blocked: true, blocked_by: ['minute'] });
  const waitMs = Date.parse(String(full['blocked_until'])) - Date.now();
  expect(waitMs).toBeGreaterThan(0);
  expect(waitMs).toBeLessThanOrEqual(60_000);
  expect(Object.keys(full['resets'] as object).toSorted()).toEqual(['day', 'minute']);
});

test('C3: an operator blocks a tenant until a time, and lifts the block earlier', async () => {
  const { tenant, token } = await caller();
  const until = new Date(Date.now() + 3_600_000).toISOString();
  expect((await run.admin(`POST /admin/v1/tenants/${tenant}/block`, { until, reason: 'abuse' })).status).toBe(
    200,
  );
  const refused = await eventually(async () => {
    const response = await run.call(chat, { token });
    return response.status === 429 ? response : null;
  });
  expect(Number(refused.headers.get('retry-after'))).toBeGreaterThan(3_500);
  expect((await run.admin(`DELETE /admin/v1/tenants/${tenant}/block`)).status).toBe(204);
  await eventually(async () => (await run.call(chat, { token })).status === 200);
});

test('C4: an operator resets one tenant, or all tenants in an emergency', async () => {
  const [one, two] = [await caller(), await caller()];
  for (const { token } of [one, two])
    expect(tally(await run.calls(13, chat, { token }))).toEqual({ 200: 12, 429: 1 });
  expect((await run.admin(`POST /admin/v1/tenants/${one.tenant}/reset`, {})).status).toBe(200);
  expect((await run.call(chat, { token: one.token })).status).toBe(200);
  expect((await run.call(chat, { token: two.token })).status).toBe(429);
  expect((await run.admin('POST /admin/v1/reset', {})).status, 'without confirmation').toBe(400);
  expect((await run.admin('POST /admin/v1/reset', { confirm: 'reset all tenants' })).status).toBe(200);
  // Gateways apply the reset with their next heartbeat.
  for (const { token } of [one, two])
    await eventually(async () => (await run.call(chat, { token })).status === 200);
});

test('C5: a tenant exists from its first request, and all of its keys in Redis expire', async () => {
  const { tenant, token } = await caller();
  expect((await run.call(chat, { token })).status).toBe(200);
  await eventually(async () => {
    const { status, body } = await run.admin(`GET /admin/v1/tenants/${tenant}`);
    return status === 200 && body['seen_plan'] === 'standard';
  });
  const redis = new Redis(servers().redisUrl);
  try {
    const keys = await redis.keys(`${run.keyPrefix}*`);
    const ofTenants = keys.filter((key) => key.includes('{'));
    expect(ofTenants.length).toBeGreaterThan(0);
    // A key may expire between the two reads; Redis replies -1 only for a key that never expires.
    for (const key of ofTenants) expect(await redis.pttl(key), key).not.toBe(-1);
  } finally {
    redis.disconnect();
  }
});

test('C6: two gateways share the counters of a tenant, and a restart keeps them', async () => {
  const { token } = await caller();
  const second = await startServices(['gateway'], {
    ...withoutSpool(run.installation.env),
    TOLLGATE_NODE: uniqueName('second'),
  });
  try {
    expect(tally(await run.calls(6, chat, { token }))).toEqual({ 200: 6 });
    const call = async (): Promise<number> =>
      (
        await fetch(`${second.urls.gateway}/agent/chat`, {
          method: 'POST',
          headers: { authorization: `Bearer ${token}` },
        })
      ).status;
    const statuses: number[] = [];
    for (let index = 0; index < 8; index++) statuses.push(await call());
    expect(statuses).toEqual([200, 200, 200, 200, 200, 200, 429, 429]);
    await second.service('gateway').restart();
    expect(await call()).toBe(429);
  } finally {
    await second.stop();
  }
});

/** Environment variables of a further gateway, with a separate spool folder. */
function withoutSpool(env: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(Object.entries(env).filter(([name]) => name !== 'TOLLGATE_SPOOL_DIR'));
}

test('C7: one query returns usage and cost of a customer by route', async () => {
  const { tenant, token } = await caller();
  await run.calls(13, chat, { token });
  const rows = await eventually(async () => {
    const found = await run.clickhouse.query<{ requests: number; limited: number; cost: number }>(
      `SELECT sum(requests) AS requests, sum(u.limited) AS limited, round(sumIf(u.cost, decision != 'limited'), 6) AS cost
       FROM usage_by_minute AS u WHERE tenant_id = {tenant:String} AND route = 'POST /agent/chat'`,
      { tenant },
    );
    return found[0]?.requests === 13 ? found : null;
  });
  expect(rows).toEqual([{ requests: 13, limited: 1, cost: 0.0009 }]);
});

test('C8: an enterprise tenant may exceed its minute limit by the burst, and not by more', async () => {
  const { token } = await caller('enterprise-burst');
  expect(tally(await run.calls(24, chat, { token }))).toEqual({ 200: 18, 429: 6 });
});
