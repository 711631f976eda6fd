import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { allPanels, builtDashboards } from '../../../dashboards/render.ts';
import { createClickHouse } from '../../../shared/clickhouse/client.ts';
import type { ClickHouse } from '../../../shared/clickhouse/client.ts';
import { migrate } from '../../../shared/clickhouse/migrate.ts';
import { servers, uniqueNamespace } from '../../support/servers.ts';
import { storeUsage } from '../../support/stored-usage.ts';
import type { StoredEvent } from '../../support/stored-usage.ts';
import { expandMacros, interpolate } from './grafana-variables.ts';
import type { View } from './grafana-variables.ts';
import { storePricedPlans, withoutCurrency } from './priced-plans.ts';

const minuteMs = 60_000;
const hourMs = 60 * minuteMs;
const dayMs = 24 * hourMs;
const now = Date.now();
/** A minute ago, or midnight if that is later: always today and in the past. */
const recently = Math.max(now - minuteMs, now - (now % dayMs));

const { database } = uniqueNamespace();
let clickhouse: ClickHouse;

/**
 * Tenant `acme` (plan pro): 6 requests served, 3 refused, 1 bypassed, 1 served above its limit in shadow mode. Tenant
 * `tiny` (plan free): refused requests on 4 days.
 */
const events: StoredEvent[] = [
  ...repeat(6, { timeMs: recently, tenant: 'acme', plan: 'pro', cost: 0.5, latencyMs: 20 }),
  ...repeat(3, {
    timeMs: recently,
    tenant: 'acme',
    plan: 'pro',
    user: 'bob',
    cost: 0.5,
    decision: 'limited',
    limitedBy: ['minute', 'chat'],
  }),
  ...repeat(1, {
    timeMs: recently,
    tenant: 'acme',
    plan: 'pro',
    decision: 'bypassed',
    route: 'GET /health',
    status: 503,
  }),
  ...repeat(1, {
    timeMs: recently,
    tenant: 'acme',
    plan: 'pro',
    decision: 'shadow_limited',
    limitedBy: ['trial'],
  }),
  ...repeat(4, { timeMs: now - 36 * hourMs, tenant: 'acme', plan: 'pro' }),
  ...[1, 2, 3, 4].flatMap((days) => [
    ...repeat(2, { timeMs: now - days * dayMs, tenant: 'tiny', cost: 0.25 }),
    ...repeat(1, {
      timeMs: now - days * dayMs,
      tenant: 'tiny',
      cost: 0.25,
      decision: 'limited',
      limitedBy: ['day'],
    }),
  ]),
  ...repeat(3, { timeMs: recently, tenant: 'anonymous' }),
  { ...modelCall(500), reserved: { tokens: 800 }, reservation: 'settled' },
  {
    ...{ ...modelCall(400), reserved: { tokens: 400 }, reservation: 'open' },
    reservedUntilMs: now + 10 * minuteMs,
  },
];

function modelCall(tokens: number): StoredEvent {
  return {
    ...{ timeMs: recently, tenant: 'modeller', plan: 'pro', route: 'POST /v1/messages', model: 'gpt-4o' },
    ...{ cost: 0.015, quantities: { tokens } },
  };
}

function repeat(count: number, event: StoredEvent): StoredEvent[] {
  return Array.from({ length: count }, () => event);
}

beforeAll(async () => {
  clickhouse = createClickHouse({ url: servers().clickhouseUrl, database });
  await migrate(clickhouse);
  await storePricedPlans(clickhouse);
  await storeUsage(clickhouse, events);
  await clickhouse.insert('pipeline_progress', [
    {
      topic: 'usage',
      kafka_partition: 0,
      // Later than the end of every interval.
      complete_through: new Date(now + 2 * minuteMs).toISOString(),
      kafka_offset: 42,
    },
  ]);
  await clickhouse.insert('stored_tenants', [
    {
      tenant_id: 'acme',
      plan: 'pro',
      overrides: { minute: 500 },
      updated_at: new Date(now).toISOString(),
      updated_by: 'ada',
    },
  ]);
  await clickhouse.insert('stored_alerts', [
    {
      alert_id: 'a1',
      time: new Date(recently).toISOString(),
      tenant_id: 'tiny',
      kind: 'threshold',
      limit_name: 'day',
      threshold: 0.9,
      period: new Date(now - (now % dayMs)).toISOString(),
      ...{ used: 920, limit: 1000, unit: 'units' },
      channel: 'webhook',
      target: 'https://example.com/hook',
      status: 'delivered',
      attempts: 1,
    },
    {
      alert_id: 'a2',
      time: new Date(recently).toISOString(),
      tenant_id: 'acme',
      kind: 'threshold',
      limit_name: 'minute',
      threshold: 0.5,
      period: new Date(recently).toISOString(),
      used: 5,
      limit: 10,
      channel: 'log',
      status: 'delivered',
      attempts: 1,
    },
  ]);
});

afterAll(async () => {
  await clickhouse.command(`DROP DATABASE ${database} SYNC`);
  await clickhouse.close();
});

const expected: Readonly<Record<string, readonly Readonly<Record<string, unknown>>[]>> = {
  'tenant/Plan': [{ plan: 'pro' }],
  'tenant/Requests today': [{ requests: 11 }],
  'tenant/Units consumed today': [{ units: 7 }],
  'tenant/Refused today': [{ refused: 3 / 11 }],
  'tenant/Cost today': [{ cost: 3 }],
  'tenant/Latest event': [{}],
  'tenant/Requests per minute by decision': [{ allowed: 6, limited: 3, bypassed: 1, shadow_limited: 1 }],
  'tenant/Units per minute against the plan’s minute limits': [{ units: 7 }],
  'tenant/Units of the day against the plan’s day quota': [{ units: 7 }],
  'tenant/Latency': [{ p50: expect.closeTo(20, 1) }],
  'tenant/Why: by limit and route': [
    { limit: 'minute', route: 'POST /agent/chat', refused: 3, users: 1 },
    { limit: 'chat', refused: 3 },
  ],
  'tenant/Latest refusals': [{ limits: 'minute, chat', user_id: 'bob', method: 'POST' }],
  'tenant/Routes': [
    { route: 'POST /agent/chat', requests: 14, refused: 3 / 14, failed: 0, cost: 3 },
    { route: 'GET /health', requests: 1, failed: 1 },
  ],
  'tenant/Users': [
    { user: 'ada', requests: 12, refused: 0 },
    { user: 'bob', requests: 3, refused: 1 },
  ],
  'tenant/Cost per day': [{ served: 3, refused: 1.5 }],
  'tenant/Own limits': [{ plan: 'pro', overrides: "{'minute':500}", blocked: false }],
  'tenant/Notifications': [{ kind: 'threshold', limit_name: 'minute', used: 5, status: 'delivered' }],
  'business/Active tenants': [{ tenants: 3 }],
  'business/Requests': [{ requests: 29 }],
  'business/Cost of served requests': [{ cost: 5.03 }],
  'business/Money saved by limiting': [{ saved: 2.5 }],
  'business/Tenants refused at least once': [{ tenants: 2 }],
  'business/Cost per active tenant': [{ cost: expect.closeTo(5.03 / 3, 9) }],
  'business/Heaviest tenants': [
    { tenant: 'acme', plan: 'pro', requests: 15, share: 15 / 29, growth: null, cost: 3 },
  ],
  'business/Close to their limits': [
    { tenant: 'tiny', limit_name: 'day', share: 0.92, used: 920, limit: 1000, unit: 'units' },
    { tenant: 'acme', share: 0.5 },
  ],
  'business/Upsell candidates': [
    { tenant: 'tiny', plan: 'free', days_refused: 4, refused: 4 },
    { tenant: 'acme', plan: 'pro', days_refused: 1, refused: 3 },
  ],
  'business/Plans': [
    { plan: 'pro', tenants: 2, requests: 17, cost: 3.03, cost_per_tenant: 1.515 },
    { plan: 'free', tenants: 1, requests: 12 },
  ],
  'business/Cost per tenant': [{ tenant: 'acme', cost: 3 }],
  'business/Served and saved': [{ served: 3.03, saved: 1.5 }],
  'pipeline/Complete through': [{}],
  'pipeline/From event to row': [{ p50: 0.4, p99: 0.4 }],
  'pipeline/Rows per second': [{ events: 16 / 60 }],
  'pipeline/Tables': [{ table: 'stored_events', rows: events.length }],
  'business/Cost this month': [{}],
  'business/Projected cost of the month': [{}],
  'business/Projected margin this month': [{}],
  'business/Refused revenue this month': [{}],
  'business/Margin by tenant, this month': [{ tenant: 'acme', plan: 'pro', price: 49 }],
  'business/Top movers': [],
  'business/Refused revenue by tenant, this month': [{ tenant: 'acme', plan: 'pro', refused: 3 }],
  'spend/Spend': [{ spend: 0.03 }],
  'spend/Amount of ${quantity}': [{ amount: 900 }],
  'spend/Calls': [{ calls: 2 }],
  'spend/Tenants with spend': [{ tenants: 1 }],
  'spend/Spend by tenant': [{ tenant: 'modeller', value: 0.03 }],
  'spend/Spend by model': [{ model: 'gpt-4o', value: 0.03 }],
  'spend/Spend by route': [{ route: 'POST /v1/messages', value: 0.03 }],
  'spend/Amount of ${quantity} by tenant': [{ tenant: 'modeller', value: 900 }],
  'spend/Amount of ${quantity} by model': [{ model: 'gpt-4o', value: 900 }],
  'spend/Amount of ${quantity} by route': [{ route: 'POST /v1/messages', value: 900 }],
  'spend/Spend and amount of ${quantity} by tenant': [{ tenant: 'modeller', calls: 2, amount: 900 }],
  'spend/Spend and amount of ${quantity} by model': [{ model: 'gpt-4o', spend: 0.03, spend_per_call: 0.015 }],
  'spend/Spend and amount of ${quantity} by route': [{ route: 'POST /v1/messages', share: 1 }],
  'spend/Reserved and settled ${quantity}': [{ reserved: 800, settled: 500 }],
  'spend/Reserved and settled ${quantity} by route': [
    { calls: 1, share: 500 / 800, exceeded: 0, cancelled: 0 },
  ],
  'spend/Reservations without a settlement': [{ tenant: 'modeller', state: 'open', amounts: 'tokens 400' }],
  'spend/Margin by plan, this month': [{ plan: 'pro', tenants: 2, prices: 98 }],
  'spend/Spend against the price of the plan, this month': [{ tenant: 'modeller', price: 49, spend: 0.03 }],
  'pipeline/ClickHouse since its start': [{ delayed: 0, rejected: 0 }],
  'pipeline/Merges in progress': [],
  'pipeline/Disks of ClickHouse': [{ disk: 'default' }],
  'pipeline/Progress by partition': [{ topic: 'usage', partition: 0, next_offset: 42 }],
};

interface Query {
  readonly key: string;
  readonly rawSql: string;
}

const queries: Query[] = [...builtDashboards()].flatMap(([name, dashboard]) =>
  allPanels(dashboard).flatMap((panel) =>
    ('targets' in panel ? (panel.targets ?? []) : [])
      .map((target) => target as unknown as { rawSql?: string })
      .filter((target): target is { rawSql: string } => target.rawSql !== undefined)
      .map(({ rawSql }) => ({ key: `${name}/${withoutCurrency(panel.title ?? '')}`, rawSql })),
  ),
);

describe('B8, C7: every ClickHouse panel returns the stored usage', () => {
  const view: View = {
    fromMs: now - 10 * dayMs,
    toMs: now + minuteMs,
    intervalMs: minuteMs,
    variables: { database, tenant: 'acme', plan: 'pro', quantity: 'tokens' },
  };

  test.each(queries)('$key', async ({ key, rawSql }) => {
    const rows = await clickhouse.query(expandMacros(interpolate(rawSql, view), view));
    expect(rows).toEqual(
      expect.arrayContaining(
        (expected[key] ?? [{ missing: key }]).map((row): unknown => expect.objectContaining(row)),
      ),
    );
  });

  test('a plan is read from rows with a plan: most events of API servers have none', () => {
    const variables = builtDashboards().get('tenant')?.templating.list ?? [];
    const all = [
      ...queries.map(({ rawSql }) => rawSql),
      ...variables.map(({ query }) => JSON.stringify(query)),
    ];
    expect(all.filter((sql) => /argMax\((\w\.)?plan,/.test(sql))).toEqual([]);
  });

  test('a tenant id is a value, never SQL', async () => {
    const hostile = { ...view, variables: { ...view.variables, tenant: "x' OR 1=1 --" } };
    const { rawSql } = queries.find(({ key }) => key === 'tenant/Requests today') ?? { rawSql: '' };
    expect(await clickhouse.query(expandMacros(interpolate(rawSql, hostile), hostile))).toEqual([
      { requests: 0 },
    ]);
  });

  test('E6: the variable offers the tenants, busiest first', async () => {
    const variables = builtDashboards().get('tenant')?.templating.list ?? [];
    const sql = variables.find(({ name }) => name === 'tenant')?.query;
    expect(await clickhouse.query(interpolate(sql as string, view))).toEqual([
      { tenant_id: 'acme' },
      { tenant_id: 'tiny' },
      { tenant_id: 'anonymous' },
      { tenant_id: 'modeller' },
    ]);
  });

  test('series are ordered by time, as Grafana requires', async () => {
    for (const { key, rawSql } of queries.filter(
      ({ rawSql: sql }) => /\bAS time\b/.test(sql) && sql.includes('GROUP BY'),
    )) {
      if (!/ORDER BY time/.test(rawSql)) continue;
      const rows = await clickhouse.query<{ time: string }>(expandMacros(interpolate(rawSql, view), view));
      const times = rows.map(({ time }) => time);
      expect(times, key).toEqual(times.toSorted());
    }
  });
});
