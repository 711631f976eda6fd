import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createClickHouse } from '../../../shared/clickhouse/client.ts';
import type { ClickHouse } from '../../../shared/clickhouse/client.ts';
import { migrate } from '../../../shared/clickhouse/migrate.ts';
import { servers, uniqueNamespace } from '../../support/servers.ts';
import { storeUsage } from '../../support/stored-usage.ts';
import type { StoredEvent } from '../../support/stored-usage.ts';
import { statementsOf } from './access-files.ts';

const guide = readFileSync(join(import.meta.dirname, '../../../docs/analysts.md'), 'utf8');
/** The first SQL block of each section, by heading. */
const examples = new Map(
  [...guide.matchAll(/^### (.+?)\n(?:(?!^#)[\s\S])*?```sql\n([\s\S]+?)```/gm)].map(
    ([, title = '', sql = '']) => [title, sql],
  ),
);

const dayMs = 86_400_000;
const now = Date.now();
const recently = Math.max(now - 60_000, now - (now % dayMs));
const { database } = uniqueNamespace();
let clickhouse: ClickHouse;

function repeat(count: number, event: StoredEvent): StoredEvent[] {
  return Array.from({ length: count }, () => event);
}

/**
 * Tenant `acme`: two requests a day for ten days, then 60 today, of which 4 were refused. Tenant `tiny`: refused
 * requests on each of three days.
 */
const events: StoredEvent[] = [
  ...Array.from({ length: 10 }, (_, index) =>
    repeat(2, { timeMs: now - (index + 1) * dayMs, tenant: 'acme', plan: 'pro', cost: 0.5, latencyMs: 30 }),
  ).flat(),
  ...repeat(55, { timeMs: recently, tenant: 'acme', plan: 'pro', cost: 0.5, latencyMs: 30 }),
  ...repeat(4, {
    timeMs: recently,
    tenant: 'acme',
    plan: 'pro',
    cost: 0.5,
    decision: 'limited',
    limitedBy: ['minute'],
  }),
  ...repeat(1, {
    timeMs: recently,
    tenant: 'acme',
    plan: 'pro',
    decision: 'shadow_limited',
    limitedBy: ['trial'],
  }),
  ...[1, 2, 3].flatMap((days) =>
    repeat(1, {
      timeMs: now - days * dayMs,
      tenant: 'tiny',
      decision: 'limited',
      limitedBy: ['day'],
      cost: 1,
    }),
  ),
];

/**
 * Tenant `meters`: three requests two days ago, and since then only events without a plan that its API server
 * published.
 */
const metered: StoredEvent[] = [
  ...repeat(3, {
    ...{ timeMs: now - 2 * dayMs, tenant: 'meters', plan: 'enterprise', latencyMs: 700 },
    cost: '0.000000000001',
  }),
  ...repeat(5, {
    ...{ timeMs: recently, tenant: 'meters', plan: '', type: 'tokens.used', route: 'POST /agent/chat' },
    ...{ cost: '0.1', latencyMs: 0 },
  }),
  ...repeat(1, {
    ...{ timeMs: now - 2 * dayMs, tenant: 'meters', plan: 'enterprise' },
    ...{ decision: 'limited', limitedBy: ['hour'], cost: '1000000.000000000001' },
  }),
];

/** Calls of an AI API: one settled and one still open. */
const calls: StoredEvent[] = [
  { reservation: 'settled' as const, quantities: { tokens: 60, usd: '0.000115' } },
  {
    reservation: 'open' as const,
    quantities: { tokens: 1000, usd: '0.0037' },
    reserved: { tokens: 1000, usd: '0.0037' },
  },
].map((call) => ({
  ...call,
  timeMs: recently,
  tenant: 'ai',
  plan: 'ai',
  model: 'small-1',
  units: 1,
  cost: 0,
}));

beforeAll(async () => {
  clickhouse = createClickHouse({ url: servers().clickhouseUrl, database });
  await migrate(clickhouse);
  await storeUsage(clickhouse, [...events, ...metered, ...calls]);
  await clickhouse.insert('stored_alerts', [
    {
      alert_id: 'a1',
      time: new Date(recently).toISOString(),
      tenant_id: 'acme',
      kind: 'threshold',
      limit_name: 'day',
      threshold: 0.8,
      period: new Date(recently).toISOString(),
      used: 80,
      limit: 100,
      channel: 'webhook',
      status: 'delivered',
      attempts: 1,
    },
  ]);
});

afterAll(async () => {
  await clickhouse.command(`DROP DATABASE ${database} SYNC`);
  await clickhouse.close();
});

/** Some rows that each example must return. */
const expected: Readonly<Record<string, readonly object[]>> = {
  'The busiest tenants of the month': [
    { tenant_id: 'acme', plan: 'pro', refused: 4 },
    ...(new Date(now - 2 * dayMs).getUTCMonth() === new Date(now).getUTCMonth()
      ? [{ tenant_id: 'meters', plan: 'enterprise', requests: 4, refused: 1, refused_share: 0.25 }]
      : []),
  ],
  'Cost of each tenant, and what limits saved': [
    { tenant_id: 'acme', cost: 37.5, saved: 2 },
    { tenant_id: 'tiny', cost: 0, saved: 3 },
    { tenant_id: 'meters', cost: 0.5, saved: 1000000 },
  ],
  'Tokens and spend of each model': [
    { tenant_id: 'ai', model: 'small-1', tokens: 1060, usd: 0.003815, of_it_reserved: 0.0037 },
  ],
  'Latency of a route, by hour': [{ p50_p95_p99: [30, 30, 30] }],
  'Cohorts: growth of the tenants of a plan by week': [
    { plan: 'pro', week: 0, tenants: 1, requests_per_tenant: 14 },
    { plan: 'pro', week: 1, tenants: 1, requests_per_tenant: 66 },
    { plan: 'enterprise', week: 0, tenants: 1, requests_per_tenant: 4 },
  ],
  'Anomalies: tenants far from their usual usage': [
    { tenant_id: 'acme', today_requests: 60, usual: 2, deviations: 58 },
  ],
  'Why a tenant was refused': [
    { limit: 'minute', route: 'POST /agent/chat', refused: 4, users: 1, addresses: 1 },
  ],
  'Candidates for the next plan': [{ tenant_id: 'tiny', plan: 'free', days_refused: 3, refused: 3 }],
  'What a limit in shadow mode would have refused': [{ limit: 'trial', tenants: 1, requests: 1 }],
  'Notifications by tenant, and how many were delivered': [
    { tenant_id: 'acme', kind: 'threshold', share: 0.8, delivered: 1, sent: 1 },
  ],
};

test.each([...examples])('C7, E6: the guide’s example “%s” returns the stored usage', async (title, sql) => {
  const rows = await clickhouse.query(sql);
  const wanted = expected[title] ?? [{ missing: title }];
  expect(rows).toEqual(expect.arrayContaining(wanted.map((row): unknown => expect.objectContaining(row))));
});

test('no example returns a row without a plan because of events of API servers', async () => {
  for (const title of [
    'The busiest tenants of the month',
    'Cohorts: growth of the tenants of a plan by week',
  ]) {
    const rows = await clickhouse.query<{ plan: string }>(examples.get(title) ?? '');
    expect(
      rows.map(({ plan }) => plan),
      title,
    ).not.toContain('');
  }
});

test('every example has an expectation, and the guide names every view', async () => {
  expect([...examples.keys()].toSorted()).toEqual(Object.keys(expected).toSorted());
  const views = await clickhouse.query<{ name: string }>(
    "SELECT name FROM system.tables WHERE database = {database:String} AND engine = 'View' ORDER BY name",
    { database },
  );
  for (const { name } of views) expect(guide, name).toContain(`\`${name}\``);
});

test('every table that a tenant may read has a row policy', async () => {
  const tables = await clickhouse.query<{ name: string; engine: string }>(
    'SELECT name, engine FROM system.tables WHERE database = {database:String}',
    { database },
  );
  const statements = statementsOf('tenants.sql');
  const granted = statements.flatMap((one) => /^GRANT SELECT ON tollgate\.(\w+)/.exec(one)?.[1] ?? []);
  expect(granted.length).toBeGreaterThan(0);
  for (const name of granted) {
    const table = tables.find((one) => one.name === name);
    expect(table, name).toBeDefined();
    if (table?.engine === 'View') continue;
    const policy = new RegExp(`POLICY IF NOT EXISTS own ON tollgate\\.${name} +USING tenant_id = `);
    expect(
      statements.some((one) => policy.test(one)),
      name,
    ).toBe(true);
  }
});
