import { afterAll, beforeAll, expect, test } from 'vitest';
import { runPolicy, tally } from '../../support/policy-run.ts';
import type { PolicyRun } from '../../support/policy-run.ts';
import { eventually, startRedis, uniqueName } from '../../support/servers.ts';
import { startUndisturbedTime } from '../../support/undisturbed-time.ts';

/** A Redis that only this file uses, because one requirement is tested by an outage of Redis. */
let redis: Awaited<ReturnType<typeof startRedis>>;
let run: PolicyRun;

beforeAll(async () => {
  redis = await startRedis();
  run = await runPolicy('agentos', { services: ['gateway', 'aggregator'], env: { REDIS_URL: redis.url } });
});

afterAll(async () => {
  await run.stop();
  await redis.dispose();
});

const runs = 'POST /agents/planner/runs';

const member = (workspace: string, user: string): Promise<string> =>
  run.token({ workspace_id: workspace, sub: user });

const from = (address: string): { headers: Record<string, string> } => ({
  headers: { 'x-forwarded-for': address },
});

test('D2, D5: ten runs a minute pass, the eleventh is limited', async () => {
  const token = await member(uniqueName('workspace'), 'ada');
  expect(tally(await run.calls(11, runs, { token }))).toEqual({ 200: 10, 429: 1 });
});

test('D2, D5: a limit counts for workspace and user together', async () => {
  const [one, two] = [uniqueName('workspace'), uniqueName('workspace')];
  const ada = await member(one, 'ada');
  expect(tally(await run.calls(11, runs, { token: ada }))).toEqual({ 200: 10, 429: 1 });
  expect((await run.call(runs, { token: await member(one, 'bob') })).status).toBe(200);
  expect((await run.call(runs, { token: await member(two, 'ada') })).status).toBe(200);
  expect((await run.call(runs, { token: ada })).status).toBe(429);
});

test('D2, D5: a caller without a token is identified by its address', async () => {
  expect(tally(await run.calls(11, runs, from('203.0.113.7')))).toEqual({ 200: 10, 429: 1 });
  expect((await run.call(runs, from('203.0.113.8'))).status).toBe(200);
});

test('D2: the runs of all agents count together, and other paths do not count', async () => {
  const token = await member(uniqueName('workspace'), 'ada');
  await run.calls(5, 'POST /agents/planner/runs', { token });
  expect(tally(await run.calls(6, 'POST /agents/writer/runs', { token }))).toEqual({ 200: 5, 429: 1 });
  expect(tally(await run.calls(15, 'GET /agents/planner', { token }))).toEqual({ 200: 15 });
});

test('D3: the 429 is structured: error, limit, window, remaining, retry, reset', async () => {
  const token = await member(uniqueName('workspace'), 'ada');
  await run.calls(10, runs, { token });
  const { body, headers } = await run.call(runs, { token });
  expect(body).toMatchObject({
    status: 429,
    error: 'Rate limit exceeded: 10 per 1 minute',
    'violated-policies': ['agent-runs'],
    limit: 10,
    window_seconds: 60,
    remaining: 0,
    retry_after_seconds: Number(headers.get('retry-after')),
  });
  expect(body['reset']).toBeTypeOf('number');
  expect(body['decision_id']).toMatch(/^[0-9a-f-]{36}$/);
});

test('D4: a limit hit is counted by limit and logged with tenant and user', async () => {
  const workspace = uniqueName('workspace');
  const token = await member(workspace, 'ada');
  await run.calls(11, runs, { token });
  const { opsUrl, log } = run.installation.service('gateway');
  const metrics = await (await fetch(`${opsUrl}/metrics`)).text();
  expect(metrics).toMatch(
    /tollgate_checks_total\{decision="limited",plan="default",limit="agent-runs"[^}]*\} [1-9]/,
  );
  const line = await eventually(() =>
    log()
      .split('\n')
      .find((one) => one.includes(workspace)),
  );
  expect(JSON.parse(line)).toMatchObject({
    tenant: workspace,
    user: 'ada',
    limited_by: ['agent-runs'],
    msg: 'limit hit',
  });
});

test('D1: without Redis the limit is enforced in memory, and Redis is used again when it is back', async () => {
  const token = await member(uniqueName('workspace'), 'ada');
  await redis.kill();
  const callsMs = startUndisturbedTime();
  const responses = await run.calls(15, runs, { token }, 3);
  expect(tally(responses)).toEqual({ 200: 10, 429: 5 });
  expect(callsMs()).toBeLessThan(5_000);
  const degraded = async (): Promise<boolean | undefined> => {
    const metrics = await (await fetch(`${run.installation.service('gateway').opsUrl}/metrics`)).text();
    return /tollgate_redis_servers_away\{[^}]*\} 1/.test(metrics);
  };
  expect(await degraded()).toBe(true);
  await redis.restart();
  await eventually(async () => !(await degraded()));
  const fresh = await member(uniqueName('workspace'), 'ada');
  expect(tally(await run.calls(11, runs, { token: fresh }))).toEqual({ 200: 10, 429: 1 });
  const degradedRows = await eventually(async () => {
    const rows = await run.clickhouse.query<{ degraded: number }>(
      'SELECT countIf(degraded) AS degraded FROM usage_events',
    );
    return (rows[0]?.degraded ?? 0) >= 15 ? rows : null;
  });
  expect(degradedRows[0]?.degraded).toBeGreaterThanOrEqual(15);
});
