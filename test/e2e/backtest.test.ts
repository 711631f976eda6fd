import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { rm, writeFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { runBacktest } from '../../shared/backtest/run-backtest.ts';
import type { RecordedEvent } from '../../shared/clickhouse/queries/recorded/recorded-events.ts';
import type { ReplayedDecision } from '../../shared/backtest/replay/replay.ts';
import { agrees } from '../../shared/backtest/tally.ts';
import type { BacktestResult } from '../../shared/backtest/result.ts';
import { parsePolicy } from '../../shared/policy/load.ts';
import type { TenantRecord } from '../../shared/domain/tenant.ts';
import { policyText, proposedText } from './backtest-policies.ts';
import { runPolicy } from '../support/policy-run.ts';
import type { PolicyRun } from '../support/policy-run.ts';
import { processEnvironment, startServices } from '../support/services.ts';
import type { Installation } from '../support/services.ts';
import { eventually, uniqueName } from '../support/servers.ts';

const seed = Date.now() % 1_000_000;
const spanMs = 5_000;
/** A slow machine takes longer for them; the limits refuse then, too. */
const requestsMin = 1_500;
const tenants = ['free', 'free', 'pro', 'pro', 'large'].map((plan) => ({
  plan,
  name: uniqueName('backtest'),
}));

let run: PolicyRun;
let second: Installation;
let records: ReadonlyMap<string, TenantRecord>;
let recorded: { readonly fromMs: number; readonly toMs: number; readonly requests: number };

beforeAll(async () => {
  run = await runPolicy('story-3.5', {
    services: ['gateway', 'aggregator', 'admin'],
    edit: () => policyText,
    env: { TOLLGATE_POLICY_WRITABLE: 'true' },
  });
  const { env } = run.installation;
  second = await startServices(['gateway'], {
    ...Object.fromEntries(Object.entries(env).filter(([name]) => !/PORT$|SPOOL/.test(name))),
    TOLLGATE_NODE: `${env['TOLLGATE_NODE'] ?? ''}-2`,
  });
  const [, free] = tenants;
  const record = { overrides: { seconds: 25, chat: 9 }, time_zone: 'Asia/Kathmandu' };
  const put = await run.admin(`PUT /admin/v1/tenants/${free?.name ?? ''}`, record);
  expect(put.status).toBeLessThan(300);
  records = new Map([
    [free?.name ?? '', { tenant_id: free?.name ?? '', updated_at: '', updated_by: '', ...record }],
  ]);
  recorded = await recordTraffic();
}, 180_000);

afterAll(async () => {
  await second.stop();
  await run.stop();
});

/** Sends requests of all tenants in bursts, so that every limit refuses often, to two gateways. */
async function recordTraffic(): Promise<typeof recorded> {
  console.log(`backtest: traffic seed ${seed}`);
  const random = randomNumbers(seed);
  const fromMs = Date.now();
  let requests = 0;
  await Promise.all(
    tenants.flatMap(({ plan, name }) =>
      ['ada', 'bob', 'eve'].map(async (sub, user) => {
        const token = await run.token({ tenant_id: name, plan, sub });
        while (Date.now() < fromMs + spanMs || requests < requestsMin) {
          const burst = 1 + Math.floor(random() * (plan === 'large' ? 40 : 12));
          await Promise.all(Array.from({ length: burst }, () => send(random, token, user, plan)));
          requests += burst;
          await new Promise((resolve) => setTimeout(resolve, random() * 150));
        }
      }),
    ),
  );
  await eventually(async () => {
    const [row] = await run.clickhouse.query<{ events: number }>(
      'SELECT count() AS events FROM usage_events',
    );
    return row?.events === requests;
  });
  return { fromMs: fromMs - 1_000, toMs: Date.now() + 1_000, requests };
}

const requestsOf = ['GET /a', 'GET /b', 'POST /chat', 'GET /search/x', 'GET /status/503', 'GET /health'];
/** Units of this plan are given back, so its requests use no counter of other tenants. */
const requestsOfReturned = ['GET /a', 'GET /status/503'];

/** Numbers from 0 to 1 that depend on the seed only. */
function randomNumbers(from: number): () => number {
  let state = from;
  return () => {
    state = (state * 1_103_515_245 + 12_345) % 2 ** 31;
    return state / 2 ** 31;
  };
}

async function send(random: () => number, token: string, user: number, plan: string): Promise<void> {
  const requests = plan === 'returned' ? requestsOfReturned : requestsOf;
  const [method = '', path = ''] = (requests[Math.floor(random() * requests.length)] ?? '').split(' ');
  const base = random() < 0.5 ? run.installation.urls.gateway : second.urls.gateway;
  const response = await fetch(base + path, {
    method,
    headers: { authorization: `Bearer ${token}`, 'x-forwarded-for': `203.0.113.${user}` },
  });
  await response.arrayBuffer();
}

interface Difference {
  readonly event: RecordedEvent;
  readonly replayed: ReplayedDecision;
}

async function backtest(
  text: string,
  range: { readonly fromMs: number; readonly toMs: number },
): Promise<{ readonly result: BacktestResult; readonly differences: readonly Difference[] }> {
  const compiled = (of: string) => parsePolicy('policy.yaml', of, {}, { secrets: 'optional' });
  const inForce = compiled(policyText);
  const differences: Difference[] = [];
  const result = await runBacktest(
    { ...range, policy: text === policyText ? inForce : compiled(text), inForce, tenantId: null },
    {
      clickhouse: run.clickhouse,
      recordOf: (tenantId) => records.get(tenantId) ?? null,
      onDecided: (event, { inForce: replayed }) => {
        if (!agrees(event, replayed)) differences.push({ event, replayed });
      },
    },
  );
  return { result, differences };
}

function describeDifference({ event, replayed }: Difference): string {
  const { decidedAtMs, tenantId, plan, userId, method, path, decision, limitedBy } = event;
  const request = `${decidedAtMs} ${tenantId ?? ''} ${plan} ${userId ?? ''} ${method} ${path}`;
  return `${request}: recorded ${decision} ${limitedBy.join()}, replayed ${replayed.outcome} ${replayed.limitedBy.join()}`;
}

test('a backtest of the policy that was live agrees with what two gateways did, event by event', async () => {
  const { result, differences } = await backtest(policyText, recorded);
  const { compared, agreed } = result.agreement;
  console.log(
    `backtest: ${agreed} of ${compared} decisions agree; recorded ${JSON.stringify(result.recorded)}`,
  );
  expect(result.requests).toBe(recorded.requests);
  expect(result.recorded.limited).toBeGreaterThan(100);
  expect(result.recorded.shadow_limited).toBeGreaterThan(3);
  // When units are given back is not recorded to the millisecond.
  const isExact = ({ event }: Difference): boolean => event.plan !== 'returned';
  expect(differences.filter(isExact).map(describeDifference)).toEqual([]);
  expect(agreed / compared).toBeGreaterThan(0.99);
});

test('a range that begins in the middle begins with the counters of that time', async () => {
  const fromMs = Math.floor((recorded.fromMs + recorded.toMs) / 2);
  const { result, differences } = await backtest(policyText, { fromMs, toMs: recorded.toMs });
  expect(result.read.warm_up_events).toBeGreaterThan(50);
  expect(result.read.warm_up_groups).toBeGreaterThan(5);
  expect(result.agreement.compared).toBeGreaterThan(50);
  const isExact = ({ event }: Difference): boolean => event.plan !== 'returned';
  expect(differences.filter(isExact).map(describeDifference)).toEqual([]);
});

test('a proposed policy is compared with the record: by limit, tenant, route, plan, cost and revenue', async () => {
  const { result } = await backtest(proposedText, recorded);
  const limit = (name: string) => result.by_limit.find((one) => one.limit === name);
  expect(limit('search')).toMatchObject({ refused_proposed: 0, newly_refused: 0 });
  expect(limit('seconds')?.newly_refused).toBeGreaterThan(20);
  expect(result.by_plan.find(({ name }) => name === 'pro')?.newly_refused).toBeGreaterThan(20);
  expect(result.newly_allowed).toBeGreaterThan(0);
  const chat = result.by_route.find(({ name }) => name === 'POST /chat');
  const passed = (chat?.requests ?? 0) - (chat?.refused ?? 0);
  expect(chat?.cost).toBeCloseTo(passed * 0.02, 8);
  expect(chat?.cost_proposed).toBeCloseTo(((chat?.requests ?? 0) - (chat?.refused_proposed ?? 0)) * 0.06, 8);
  expect(result.money).toMatchObject({
    monthly_revenue: 2 * 49 + 499,
    monthly_revenue_proposed: 2 * 99 + 499,
  });
  expect(result.proposed.allowed + result.proposed.limited).toBeLessThan(result.requests);
  expect(result.assumptions.map(({ code }) => code)).toContain('same_calls');
});

/** Runs `tollgate` as a process against the admin API of the run. */
async function tollgate(...args: string[]): Promise<{ readonly code: number | null; readonly out: string }> {
  const child = spawn(process.execPath, [resolve('services/cli/main.ts'), ...args], {
    env: {
      ...processEnvironment,
      TOLLGATE_ADMIN_URL: run.installation.urls.admin,
      TOLLGATE_ADMIN_TOKEN: run.installation.env['TOLLGATE_ADMIN_TOKEN'],
      TOLLGATE_ACTOR: 'kim',
    },
  });
  let out = '';
  for (const stream of [child.stdout, child.stderr])
    stream.on('data', (chunk: Buffer) => (out += chunk.toString()));
  const [code] = (await once(child, 'close')) as [number | null];
  return { code, out };
}

test('the command line shows the policy, compares it and backtests a proposed one', async () => {
  const file = `${run.policyPath}.proposed`;
  await writeFile(file, proposedText);
  expect((await tollgate('policy', 'show')).out).toBe(policyText);
  const { out: diff } = await tollgate('policy', 'diff', file);
  expect(diff).toMatch(/^- +\d+ +price: 49$/m);
  expect(diff).toMatch(/^\+ +\d+ +price: 99$/m);
  const range = [
    '--from',
    new Date(recorded.fromMs).toISOString(),
    '--to',
    new Date(recorded.toMs).toISOString(),
  ];
  const ran = await tollgate('policy', 'backtest', file, ...range);
  expect(ran.out).toMatch(/Agreement of the replay with the record: [\d,]+ of [\d,]+ decisions/);
  expect(ran.code).toBe(0);
  const json = await tollgate('policy', 'backtest', file, ...range, '--json');
  expect(JSON.parse(json.out)).toMatchObject({
    requests: recorded.requests,
    tenants: { total: tenants.length },
  });
  await rm(file);
});

test('a policy is put live against the revision in force only, with its operator and reason, and gateways decide by it', async () => {
  const { body: before } = await run.admin('GET /admin/v1/policy');
  expect(before).toMatchObject({ text: policyText, writable: true, refused: null });
  const checked = await run.admin('POST /admin/v1/policy/check', { text: 'version: 1\nplans: 7\n' });
  expect(checked.body).toMatchObject({ valid: false });
  expect(String(checked.body['violations'])).toMatch(/policy:2:8: plans: /);
  const closed = policyText.replace('limit: 15, window: 3s, burst: 20', 'limit: 0, window: 3s');
  const put = (revision: string) =>
    fetch(`${run.installation.urls.admin}/admin/v1/policy`, {
      method: 'PUT',
      headers: {
        authorization: `Bearer ${run.installation.env['TOLLGATE_ADMIN_TOKEN'] ?? ''}`,
        'content-type': 'application/json',
        'x-actor': 'kim',
        'if-match': `"${revision}"`,
      },
      body: JSON.stringify({ text: closed, reason: 'free is closed' }),
    });
  expect((await put('0123456789ab')).status).toBe(412);
  const live = await put(String(before['revision']));
  expect(live.status).toBe(200);
  const { revision } = (await live.json()) as { revision: string };
  const token = await run.token({ tenant_id: uniqueName('closed'), plan: 'free', sub: 'ada' });
  await eventually(async () => (await run.call('GET /a', { token })).status === 429, { timeoutMs: 10_000 });
  await writeFile(run.policyPath, closed.replace('default_plan: free', 'default_plan: none'));
  await eventually(async () => (await run.admin('GET /admin/v1/policy')).body['refused'] !== null);
  const history = await eventually(async () => {
    const { body } = await run.admin('GET /admin/v1/policy/revisions');
    const revisions = body['revisions'] as Record<string, string>[];
    return revisions.length >= 3 ? revisions : null;
  });
  expect(history).toMatchObject([
    { outcome: 'refused', actor: '', violations: expect.stringContaining('default_plan') as string },
    { outcome: 'accepted', revision, actor: 'kim', reason: 'free is closed' },
    { outcome: 'accepted', revision: before['revision'], actor: '' },
  ]);
  expect((await tollgate('policy', 'show', revision)).out).toBe(closed);
  const [event] = await eventually(async () => {
    const rows = await run.clickhouse.query<{ policy_revision: string }>(
      `SELECT DISTINCT policy_revision FROM usage_events WHERE limited_by = ['seconds'] AND policy_revision = {revision:String}`,
      { revision },
    );
    return rows.length > 0 ? rows : null;
  });
  expect(event).toEqual({ policy_revision: revision });
});
