import { afterAll, beforeAll, expect, test } from 'vitest';
import { runBacktest } from '../../shared/backtest/run-backtest.ts';
import type { RecordedEvent } from '../../shared/clickhouse/queries/recorded/recorded-events.ts';
import type { ReplayedDecision } from '../../shared/backtest/replay/replay.ts';
import { agrees } from '../../shared/backtest/tally.ts';
import type { BacktestResult } from '../../shared/backtest/result.ts';
import { parsePolicy } from '../../shared/policy/load.ts';
import type { TenantRecord } from '../../shared/domain/tenant.ts';
import { runPolicy } from '../support/policy-run.ts';
import type { PolicyRun } from '../support/policy-run.ts';
import { startServices } from '../support/services.ts';
import type { Installation } from '../support/services.ts';
import { eventually, uniqueName } from '../support/servers.ts';

const policyText = `version: 1
currency: USD
links: { documentation: https://docs.example.com/limits, upgrade: https://example.com/pricing }
identity:
  jwt: { algorithms: [HS256], secret_env: TOLLGATE_JWT_SECRET, tenant: tenant_id, user: sub, plan: plan }
  anonymous: ip
  trusted_proxies: [127.0.0.0/8]
default_plan: free
plans:
  free:
    limits:
      - { name: seconds, per: tenant, limit: 15, window: 1s, burst: 20 }
      - { name: hour, per: tenant, limit: 150, window: 1h, type: quota }
    price: 0
  pro:
    limits:
      - { name: seconds, per: tenant, limit: 40, window: 2s }
      - { name: watched, per: user, limit: 10, window: 1s, mode: shadow }
    price: 49
  returned:
    limits: [{ name: seconds, per: tenant, limit: 40, window: 2s }]
    charge: { unless_status: [5xx] }
  large:
    limits: [{ name: minute, per: tenant, limit: 2000, window: 4s, lease: false }]
    price: 499
routes:
  - match: POST /chat
    limits: [{ name: chat, per: user, limit: 5, window: 1s }]
    cost: 2
    price: 0.01
  - match: GET /search/*
    limits: [{ name: search, per: ip, limit: 8, window: 1s }]
    price: 0.002
platform:
  limits: [{ name: platform, per: global, limit: 900, window: 1s, lease: false }]
exempt: { routes: [GET /health] }
services:
  - { name: internal, token_env: TOLLGATE_SERVICE_TOKEN }
`;

/** A policy that halves the limit per second of the plan pro, raises the price of chat and removes the limit of searches. */
const proposedText = policyText
  .replace('limit: 40, window: 2s', 'limit: 20, window: 2s')
  .replace('price: 0.01', 'price: 0.03')
  .replace('limits: [{ name: search, per: ip, limit: 8, window: 1s }]', 'limits: []')
  .replace('price: 49\n', 'price: 99\n');

const seed = Date.now() % 1_000_000;
const spanMs = 5_000;
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
}, 120_000);

afterAll(async () => {
  await second.stop();
  await run.stop();
});

/** Sends requests of all tenants in bursts, so that every limit refuses often, to two gateways. */
async function recordTraffic(): Promise<typeof recorded> {
  console.log(`backtest: traffic seed ${seed}`);
  const random = randomNumbers(seed);
  const fromMs = Date.now();
  const responses = await Promise.all(
    tenants.flatMap(({ plan, name }) =>
      ['ada', 'bob', 'eve'].map(async (sub, user) => {
        const token = await run.token({ tenant_id: name, plan, sub });
        let sent = 0;
        while (Date.now() < fromMs + spanMs) {
          const burst = 1 + Math.floor(random() * (plan === 'large' ? 40 : 12));
          await Promise.all(Array.from({ length: burst }, () => send(random, token, user, plan)));
          sent += burst;
          await new Promise((resolve) => setTimeout(resolve, random() * 150));
        }
        return sent;
      }),
    ),
  );
  const requests = responses.reduce((sum, count) => sum + count, 0);
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
