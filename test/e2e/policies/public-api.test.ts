import { readFile, writeFile } from 'node:fs/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { runPolicy, tally } from '../../support/policy-run.ts';
import type { CallResponse, PolicyRun } from '../../support/policy-run.ts';
import { eventually, uniqueName } from '../../support/servers.ts';

let run: PolicyRun;

beforeAll(async () => {
  run = await runPolicy('public-api', { services: ['gateway', 'aggregator', 'admin', 'console', 'alerter'] });
});

afterAll(() => run.stop());

const caller = async (
  plan: string,
  tenant = uniqueName(plan),
): Promise<{ token: string; tenant: string }> => ({
  tenant,
  token: await run.token({ tenant_id: tenant, sub: 'ada', plan }),
});

/** Writes a record and waits until the gateway has it. */
const setRecord = async (tenant: string, token: string, record: object, limit: string): Promise<void> => {
  expect((await run.admin(`PUT /admin/v1/tenants/${tenant}`, record)).status).toBe(200);
  await eventually(async () => {
    const { headers } = await run.call('GET /', { token });
    return headers.get('ratelimit-policy')?.includes(limit);
  });
};

const remaining = (response: CallResponse): number => Number(response.headers.get('x-ratelimit-remaining'));

test('B1: free passes 100 a minute', async () => {
  const { token } = await caller('free');
  expect(tally(await run.calls(105, 'GET /', { token }, 30))).toEqual({ 200: 100, 429: 5 });
});

test('B1: free passes 1,000 a day, counted apart from its minutes', async () => {
  const { tenant, token } = await caller('free');
  await setRecord(tenant, token, { overrides: { minute: 100_000 } }, 'q=100000');
  const used = 1000 - (await remainingOfDay(token));
  expect(tally(await run.calls(1005 - used, 'GET /', { token }, 40))).toEqual({ 200: 1000 - used, 429: 5 });
  const refused = await run.call('GET /', { token });
  expect(refused.body['violated-policies']).toEqual(['day']);
  const midnight = (Math.floor(Date.now() / 86_400_000) + 1) * 86_400;
  expect(refused.body['reset']).toBe(midnight);
});

async function remainingOfDay(token: string): Promise<number> {
  const { body } = await run.api('GET /v1/usage', { token });
  const limits = body['limits'] as { name: string; remaining: number }[];
  return limits.find(({ name }) => name === 'day')?.remaining ?? Number.NaN;
}

test('B1: pro passes 1,000 a minute and has no daily limit', async () => {
  const { token } = await caller('pro');
  const responses = await run.calls(1005, 'GET /', { token }, 40);
  expect(tally(responses)).toEqual({ 200: 1000, 429: 5 });
  expect(responses[0]?.headers.get('ratelimit-policy')).not.toContain('day');
});

test('B1: an enterprise customer has its agreed limit, and another one the limit of the plan', async () => {
  const big = await caller('enterprise');
  const other = await caller('enterprise');
  await setRecord(big.tenant, big.token, { plan: 'enterprise', overrides: { minute: 20_000 } }, 'q=20000');
  expect((await run.call('GET /', { token: other.token })).headers.get('x-ratelimit-limit')).toBe('5000');
});

test('B2: X-RateLimit-Reset is a Unix timestamp in seconds', async () => {
  const { token } = await caller('free');
  const before = Math.floor(Date.now() / 1000);
  const reset = Number((await run.call('GET /', { token })).headers.get('x-ratelimit-reset'));
  expect(Number.isInteger(reset)).toBe(true);
  expect(reset).toBeGreaterThanOrEqual(before);
  expect(reset).toBeLessThanOrEqual((Math.floor(before / 86_400) + 1) * 86_400 + 1);
});

test('B3: a 429 states when to retry, in text and in JSON, and links to the documentation', async () => {
  const { token } = await caller('free');
  await run.calls(20, 'POST /search', { token });
  const refused = await run.call('POST /search', { token });
  expect(refused.status).toBe(429);
  const seconds = Number(refused.headers.get('retry-after'));
  expect(seconds).toBeGreaterThan(0);
  expect(refused.body).toMatchObject({
    title: 'Too many requests',
    error: 'Rate limit exceeded: 20 per 1 minute',
    retry_after_seconds: seconds,
    documentation_url: 'https://docs.example.com/limits',
  });
  expect(refused.body['detail']).toContain('20 requests per 1 minute');
  expect(refused.body['detail']).toContain(`try again in ${seconds} s`);
});

test('B4, B10: a customer’s portal shows the usage, limits and history of that customer, and only when signed in', async () => {
  const { tenant, token } = await caller('free');
  await run.calls(7, 'POST /search', { token });
  await eventually(async () => (await countOf(tenant)) === 7);
  const link = await run.admin('POST /admin/v1/portal-links', { tenant_id: tenant });
  const { pathname, search } = new URL(String(link.body['url']));
  const signedIn = await fetch(run.installation.urls.console + pathname + search, { redirect: 'manual' });
  const cookie = signedIn.headers.get('set-cookie')?.split(';')[0] ?? '';
  const open = async (path: string, headers: Record<string, string> = { cookie }): Promise<string> =>
    (await fetch(run.installation.urls.console + path, { headers, redirect: 'manual' })).text();
  const usage = await open('/usage');
  expect(usage).toContain(tenant);
  expect(usage).toContain('minute');
  const [, ...rows] = (await open('/history?span=24h&format=csv')).trim().split('\r\n');
  expect(rows.length).toBeGreaterThan(0);
  expect(await open('/limits')).toMatch(/POST \/(<wbr ?\/>)?search/);
  expect(await open('/usage', {})).not.toContain(tenant);
});

async function countOf(tenant: string): Promise<number> {
  const rows = await run.clickhouse.query<{ count: number }>(
    'SELECT count() AS count FROM usage_events WHERE tenant_id = {tenant:String}',
    { tenant },
  );
  return rows[0]?.count ?? 0;
}

test('B5: a window slides: requests still count across the boundary of a minute', async () => {
  const { token } = await caller('free');
  const first = await run.call('POST /search', { token });
  const reset = Number(first.headers.get('x-ratelimit-reset'));
  expect(reset * 1000 - Date.now()).toBeGreaterThan(55_000);
});

test('B5: an edit of the policy file changes a limit without a restart; an invalid edit is refused', async () => {
  const { token } = await caller('free');
  const text = await readFile(run.policyPath, 'utf8');
  try {
    await writeFile(run.policyPath, text.replace('limit: 20, by_plan', 'limit: -1, by_plan'));
    await eventually(() => run.installation.service('gateway').log().includes('policy edit refused'));
    expect((await run.call('POST /search', { token })).headers.get('ratelimit-policy')).toContain('q=20;');
    await writeFile(run.policyPath, text.replace('limit: 20, by_plan', 'limit: 3, by_plan'));
    await eventually(async () => {
      const { headers } = await run.call('POST /search', { token });
      return headers.get('ratelimit-policy')?.includes('q=3;');
    });
  } finally {
    await writeFile(run.policyPath, text);
  }
});

test('B6: only the exact service token bypasses limits, also for a caller that has used them up', async () => {
  const { token } = await caller('free');
  await run.calls(20, 'POST /search', { token });
  const withToken = (value: string): Promise<CallResponse> =>
    run.call('POST /search', { token, headers: { 'x-service-token': value } });
  const right = run.serviceToken;
  const wrong = [
    right.slice(0, -1),
    `${right}0`,
    right.toUpperCase(),
    right.replace(/^./, (first) => (first === '0' ? '1' : '0')),
    '',
    'undefined',
    '*',
  ];
  for (const value of wrong) expect((await withToken(value)).status, value).not.toBe(200);
  for (let index = 0; index < 25; index++) expect((await withToken(right)).status).toBe(200);
});

test('B7: a customer is notified once near a limit, and once when it exceeds the limit', async () => {
  const { tenant, token } = await caller('free');
  await setRecord(
    tenant,
    token,
    { overrides: { day: 10 }, notifications: { thresholds: [0.8, 1] } },
    'q=10;',
  );
  const left = await remainingOfDay(token);
  await run.calls(left - 2, 'GET /', { token });
  const alerts = async (): Promise<string[]> => {
    const rows = await run.clickhouse.query<{ kind: string; threshold: number }>(
      "SELECT DISTINCT kind, threshold FROM alerts WHERE tenant_id = {tenant:String} AND limit_name = 'day' AND kind IN ('threshold', 'exceeded')",
      { tenant },
    );
    return rows.map(({ kind, threshold }) => `${kind} ${threshold}`).toSorted();
  };
  await eventually(async () => (await alerts()).length === 1);
  expect(await alerts()).toEqual(['threshold 0.8']);
  await run.calls(2, 'GET /', { token });
  await eventually(async () => (await alerts()).length === 2);
  expect(await alerts()).toEqual(['exceeded 1', 'threshold 0.8']);
});

test('B8: checks, passes and rejections are metrics of the gateway', async () => {
  const { token } = await caller('free');
  const counted = async (decision: string): Promise<number> => {
    const text = await (await fetch(`${run.installation.service('gateway').opsUrl}/metrics`)).text();
    const lines = text
      .split('\n')
      .filter((line) => line.startsWith('tollgate_checks_total{') && line.includes(`decision="${decision}"`));
    return lines.reduce((sum, line) => sum + Number(line.split(' ').at(-1)), 0);
  };
  const [passed, refused] = [await counted('allowed'), await counted('limited')];
  await run.calls(22, 'POST /search', { token });
  expect((await counted('allowed')) - passed).toBe(20);
  expect((await counted('limited')) - refused).toBe(2);
});

test('B9: the duration of the check is stored for every request, in microseconds', async () => {
  const { tenant, token } = await caller('pro');
  await run.calls(50, 'GET /', { token }, 1);
  const rows = await eventually(async () => {
    const found = await run.clickhouse.query<{ count: number; measured: number }>(
      'SELECT count() AS count, countIf(check_us > 0) AS measured FROM usage_events WHERE tenant_id = {tenant:String}',
      { tenant },
    );
    return found[0]?.count === 50 ? found : null;
  });
  expect(rows[0]?.measured).toBe(50);
});

test('B11: requests of a caller near its limit are delayed before they are refused', async () => {
  const { token } = await caller('free');
  const durationMs = async (): Promise<number> => {
    const startedAt = performance.now();
    const response = await run.call('GET /', { token });
    expect(response.status).toBe(200);
    return performance.now() - startedAt;
  };
  await run.calls(97, 'GET /', { token }, 97);
  expect(remaining(await run.call('GET /', { token }))).toBe(2);
  expect(await durationMs()).toBeGreaterThan(300);
});

test('B12: a temporary boost of a limit applies at once and ends by itself', async () => {
  const { tenant, token } = await caller('free');
  await run.calls(20, 'POST /search', { token });
  expect((await run.call('POST /search', { token })).status).toBe(429);
  const boost = {
    limit: 'search',
    set_to: 500,
    ends_at: new Date(Date.now() + 6_000).toISOString(),
    reason: 'launch',
  };
  expect((await run.admin(`POST /admin/v1/tenants/${tenant}/boosts`, boost)).status).toBe(201);
  await eventually(async () => (await run.call('POST /search', { token })).status === 200);
  await eventually(async () => (await run.call('POST /search', { token })).status === 429);
  const { body } = await run.admin(`GET /admin/v1/tenants/${tenant}/boosts`);
  expect(body['boosts']).toMatchObject([{ reason: 'launch', phase: 'ended' }]);
});
