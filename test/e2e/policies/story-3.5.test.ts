import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { RedisClient } from '../../../shared/redis/client.ts';
import { connected } from '../../integration/redis/limiters.ts';
import { runPolicy, tally } from '../../support/policy-run.ts';
import type { CallResponse, PolicyRun } from '../../support/policy-run.ts';
import { eventually, servers, uniqueName } from '../../support/servers.ts';

let run: PolicyRun;
/** The same policy with windows of 2 s instead of 1 h, for tests that wait for the end of a window. */
let short: PolicyRun;

beforeAll(async () => {
  [run, short] = await Promise.all([
    runPolicy('story-3.5'),
    runPolicy('story-3.5', {
      services: ['gateway'],
      edit: (text) => text.replaceAll('window: 1h', 'window: 2s'),
    }),
  ]);
});

afterAll(() => Promise.all([run.stop(), short.stop()]));

const caller = async (
  plan: string,
  tenant = uniqueName(plan),
): Promise<{ token: string; tenant: string }> => ({
  tenant,
  token: await run.token({ tenant_id: tenant, sub: 'ada', plan }),
});

const limitHeaders = (response: CallResponse): (string | null)[] =>
  ['limit', 'remaining', 'reset'].map((name) => response.headers.get(`x-ratelimit-${name}`));

/** Uses up the limit of a trial tenant, and returns the first refused response. */
const exceedLimit = async (token: string): Promise<CallResponse> => {
  const responses = await run.calls(11, 'GET /', { token });
  const refused = responses.find(({ status }) => status === 429);
  if (refused === undefined) throw new Error('eleven calls of a trial were all served');
  return refused;
};

describe('A1, A9: plans', () => {
  test.each([
    ['trial', 10],
    ['pro', 100],
    ['enterprise', 1000],
  ])('A1, A9: %s passes %i an hour and not one more', async (plan, limit) => {
    const { token } = await caller(plan);
    expect(tally(await run.calls(limit + 5, 'GET /', { token }, 40))).toEqual({ 200: limit, 429: 5 });
  });
});

test('A2: requests count for the tenant of the verified token, regardless of user, headers and query', async () => {
  const { tenant, token } = await caller('trial');
  const other = await run.token({ tenant_id: tenant, sub: 'bob', plan: 'trial' });
  expect(tally(await run.calls(6, 'GET /', { token }))).toEqual({ 200: 6 });
  expect(tally(await run.calls(6, 'GET /', { token: other }))).toEqual({ 200: 4, 429: 2 });
  const disguised = { 'x-tenant-id': uniqueName('other'), 'x-forwarded-for': '203.0.113.9' };
  expect((await run.call('GET /?tenant_id=other', { token, headers: disguised })).status).toBe(429);
});

test('A2: a token with another signature is a 401, and costs the tenant nothing', async () => {
  const { tenant, token } = await caller('trial');
  const forged = await run.token({ tenant_id: tenant, sub: 'ada', plan: 'enterprise' }, 'f'.repeat(64));
  expect(tally(await run.calls(5, 'GET /', { token: forged }))).toEqual({ 401: 5 });
  expect(tally(await run.calls(11, 'GET /', { token }))).toEqual({ 200: 10, 429: 1 });
});

test('A3: the route of a request and the plan of its caller select the limit', async () => {
  const trial = await caller('trial');
  const pro = await caller('pro');
  expect(tally(await run.calls(4, 'POST /reports', { token: trial.token }))).toEqual({ 200: 2, 429: 2 });
  expect(tally(await run.calls(22, 'POST /reports', { token: pro.token }))).toEqual({ 200: 20, 429: 2 });
  expect((await run.call('GET /reports', { token: trial.token })).status).toBe(200);
});

test('A3: a change of the plan applies at once and keeps the used units', async () => {
  const { tenant, token } = await caller('trial');
  expect(tally(await run.calls(11, 'GET /', { token }))).toEqual({ 200: 10, 429: 1 });
  expect((await run.admin(`PUT /admin/v1/tenants/${tenant}`, { plan: 'pro' })).status).toBe(200);
  const first = await eventually(async () => {
    const response = await run.call('GET /', { token });
    return response.status === 200 ? response : null;
  });
  expect(limitHeaders(first).slice(0, 2)).toEqual(['100', '89']);
});

test('A4: a refusal is a 429 with limit, window, Retry-After and an upgrade address', async () => {
  const { token, tenant } = await caller('trial');
  const refused = await exceedLimit(token);
  expect(refused.headers.get('content-type')).toContain('application/problem+json');
  const retryAfter = Number(refused.headers.get('retry-after'));
  expect(retryAfter).toBeGreaterThan(3_500);
  expect(retryAfter).toBeLessThanOrEqual(3_600);
  expect(refused.body).toMatchObject({
    status: 429,
    limit: 10,
    window_seconds: 3_600,
    remaining: 0,
    retry_after_seconds: retryAfter,
    tenant_id: tenant,
    plan: 'trial',
    'violated-policies': ['hour'],
    upgrade_url: 'https://example.com/pricing',
    documentation_url: 'https://docs.example.com/limits',
  });
});

test('A5: every response carries the limit headers: 200, 401, 404, 429, 500, 502, bypassed', async () => {
  const { token } = await caller('pro');
  const limited = await caller('trial');
  const forged = await run.token({ tenant_id: 'x' }, 'f'.repeat(64));
  const responses: Readonly<Record<string, CallResponse>> = {
    200: await run.call('GET /', { token }),
    401: await run.call('GET /', { token: forged }),
    404: await run.call('GET /status/404', { token }),
    429: await exceedLimit(limited.token),
    500: await run.call('GET /status/500', { token }),
    bypassed: await run.call('GET /', { headers: { 'x-service-token': run.serviceToken } }),
  };
  for (const [kind, response] of Object.entries(responses)) {
    if (kind !== 'bypassed') expect(response.status, kind).toBe(Number(kind));
    for (const value of limitHeaders(response)) expect(value, kind).toMatch(/^\d+$/);
  }
});

test('A6: the check takes less than 5 ms of a request', async () => {
  const redis = await connected(servers().redisUrl);
  const rounds: { readonly checkMs: number; readonly pingMs: number }[] = [];
  // Other processes may use the CPU. So several rounds are measured, one round within the bound is enough, and the
  // bound includes the delay of a PING in the same round.
  while (rounds.length < 5 && !rounds.some(isFast)) rounds.push(await measureRound(redis));
  redis.disconnect();
  console.log(
    `A6: ${rounds.map(({ checkMs, pingMs }) => `check ${checkMs} ms, ping ${pingMs} ms`).join('; ')}`,
  );
  expect(rounds.every(({ checkMs }) => checkMs > 0)).toBe(true);
  expect(rounds.filter(isFast)).not.toEqual([]);
});

/**
 * On an idle machine a PING takes 0.1 ms. If it takes longer than 1 ms, other processes are the cause, so the time
 * above 1 ms is added to the bound.
 */
function isFast({ checkMs, pingMs }: { readonly checkMs: number; readonly pingMs: number }): boolean {
  return checkMs < 5 + Math.max(0, pingMs - 1);
}

/** Returns the median duration of 100 checks, and the median duration of PINGs in the same time. */
async function measureRound(redis: RedisClient): Promise<{ checkMs: number; pingMs: number }> {
  const { token, tenant } = await caller('enterprise');
  const pings: number[] = [];
  const over = new AbortController();
  const calls = run.calls(100, 'GET /', { token }, 4).finally(() => over.abort());
  while (!over.signal.aborted) {
    await new Promise((resolve) => setImmediate(resolve));
    const startedAt = performance.now();
    await redis.ping();
    pings.push(performance.now() - startedAt);
  }
  await calls;
  const rows = await eventually(async () => {
    const found = await run.clickhouse.query<{ count: number; median: number }>(
      'SELECT count() AS count, quantileExact(0.5)(check_us) AS median FROM usage_events WHERE tenant_id = {tenant:String}',
      { tenant },
    );
    return found[0]?.count === 100 ? found : null;
  });
  return { checkMs: (rows[0]?.median ?? 0) / 1_000, pingMs: timeWeightedMedian(pings) };
}

/**
 * The median weighted by duration. An unweighted median would hide stalls, because between two stalls there are many
 * short PINGs.
 */
function timeWeightedMedian(durationsMs: readonly number[]): number {
  let remainingMs = durationsMs.reduce((sum, ms) => sum + ms, 0) / 2;
  return durationsMs.toSorted((one, other) => one - other).find((ms) => (remainingMs -= ms) <= 0) ?? 0;
}

test('A7: at most 1000 requests of all tenants together run at once across the platform', async () => {
  // Each tenant and each address stays within its share of the platform.
  const tenants = await Promise.all(Array.from({ length: 5 }, () => caller('enterprise')));
  const responses: CallResponse[] = [];
  const sent = tenants.flatMap(({ token }, index) =>
    Array.from({ length: 204 }, () =>
      run
        .call('GET /held', { token, headers: { 'x-forwarded-for': `203.0.113.${index}` } })
        .then((response) => void responses.push(response)),
    ),
  );
  try {
    await eventually(() => responses.length === 20 && run.held() > 0, { timeoutMs: 45_000 });
    expect(tally(responses)).toEqual({ 429: 20 });
    expect(responses[0]?.body['violated-policies']).toEqual(['platform']);
  } finally {
    await eventually(() => {
      run.releaseHeld();
      return responses.length === sent.length;
    });
  }
  expect(tally(responses)).toEqual({ 200: 1000, 429: 20 });
  expect((await run.call('GET /', { token: tenants[0]?.token ?? '' })).status).toBe(200);
});

test('F6: one tenant holds at most a quarter of the platform, and another tenant is served meanwhile', async () => {
  const { token } = await caller('enterprise');
  const { token: neighbour } = await caller('enterprise');
  const responses: CallResponse[] = [];
  const sent = Array.from({ length: 260 }, (_, index) =>
    run
      .call('GET /held', { token, headers: { 'x-forwarded-for': `203.0.113.${index % 5}` } })
      .then((response) => void responses.push(response)),
  );
  try {
    await eventually(() => responses.length === 10 && run.held() > 0, { timeoutMs: 45_000 });
    expect(tally(responses)).toEqual({ 429: 10 });
    expect(responses[0]?.body['violated-policies']).toEqual(['platform-tenant']);
    expect((await run.call('GET /', { token: neighbour })).status).toBe(200);
  } finally {
    await eventually(() => {
      run.releaseHeld();
      return responses.length === sent.length;
    });
  }
  expect(tally(responses)).toEqual({ 200: 250, 429: 10 });
});

test('A8: a tenant has at most 50 concurrent widget sessions, which are counted apart from its requests', async () => {
  const { token } = await caller('trial');
  const { token: neighbour } = await caller('trial');
  const open = (id: string): Promise<CallResponse> =>
    run.api('POST /v1/sessions', { token, body: { session_id: id } });
  for (let index = 0; index < 50; index++) expect((await open(`w${index}`)).status).toBe(201);
  expect((await open('w50')).status).toBe(429);
  expect((await open('w0')).status, 'the same id renews').toBe(201);
  expect((await run.api('POST /v1/sessions', { token: neighbour, body: {} })).status).toBe(201);
  expect((await run.api('DELETE /v1/sessions/w7', { token })).status).toBe(204);
  expect((await open('w50')).status).toBe(201);
  expect(tally(await run.calls(11, 'GET /', { token }))).toEqual({ 200: 10, 429: 1 });
});

test('A9: a request is allowed again after exactly Retry-After', async () => {
  const token = await short.token({ tenant_id: uniqueName('reset'), sub: 'ada', plan: 'trial' });
  // On a busy machine the window may end before ten calls were made. The plans are tested above.
  const refused = await eventually(async () => {
    const responses = await short.calls(11, 'GET /', { token });
    return responses.find(({ status }) => status === 429);
  });
  const resumeAt = performance.now() + Number(refused.headers.get('retry-after')) * 1_000;
  await eventually(() => performance.now() >= resumeAt);
  expect((await short.call('GET /', { token })).status).toBe(200);
});

test('A9: an operator’s reset restores the complete limit of a tenant at once', async () => {
  const { tenant, token } = await caller('trial');
  await exceedLimit(token);
  expect((await run.admin(`POST /admin/v1/tenants/${tenant}/reset`, { reason: 'test' })).status).toBe(200);
  expect(tally(await run.calls(11, 'GET /', { token }))).toEqual({ 200: 10, 429: 1 });
});
