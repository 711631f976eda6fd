/**
 * Goal: the figures of spend, amounts, reservations and margin are those of the stored calls. Method: each panel's query
 * returns the rows that a query on the raw events returns, which is written here without the code of the panel.
 */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { allPanels, builtDashboards } from '../../../dashboards/render.ts';
import { createClickHouse } from '../../../shared/clickhouse/client.ts';
import type { ClickHouse } from '../../../shared/clickhouse/client.ts';
import { migrate } from '../../../shared/clickhouse/migrate.ts';
import { heartbeatTenant } from '../../../shared/domain/identity.ts';
import { servers, uniqueNamespace } from '../../support/servers.ts';
import { storeUsage } from '../../support/stored-usage.ts';
import type { StoredEvent } from '../../support/stored-usage.ts';
import { expandMacros, interpolate } from './grafana-variables.ts';
import type { View } from './grafana-variables.ts';
import { storePricedPlans, withoutCurrency } from './priced-plans.ts';

const minuteMs = 60_000;
const hourMs = 60 * minuteMs;
const now = Date.now();
const { database } = uniqueNamespace();
let clickhouse: ClickHouse;

const plans = ['free', 'pro', 'enterprise', 'unpriced'] as const;
const models = ['gpt-4o', 'gpt-4o-mini', 'claude-sonnet-4', ''] as const;
const routes = ['POST /v1/chat/completions', 'POST /v1/messages'] as const;

/** A call every 20 minutes over 50 days of 13 tenants: more than a graph shows by name. */
const calls: StoredEvent[] = Array.from({ length: 3_600 }, (_, index): StoredEvent => {
  const tokens = 100 + ((index * 37) % 900);
  const cost = (tokens * (1 + (index % 5))) / 1_000_000 + (index % 13 === 0 ? 1.5 : 0);
  const timeMs = now - 3 * minuteMs - index * 20 * minuteMs;
  const call = {
    ...{ timeMs, tenant: `tenant-${index % 13}`, plan: plans[(index % 13) % plans.length]! },
    ...{ model: models[index % models.length]!, route: routes[index % routes.length]! },
  };
  if (index % 11 === 0) return { ...call, cost, decision: 'limited', limitedBy: ['spend'] };
  const amounts = { tokens, usd: cost.toFixed(6) };
  // An estimate above the use of most calls, and below that of some.
  const reserved = { tokens: index % 7 === 0 ? tokens - 50 : tokens + 400, usd: (cost + 0.01).toFixed(6) };
  if (index % 17 === 0) return { ...call, quantities: {}, reserved, reservation: 'cancelled', status: 503 };
  return { ...call, cost: cost.toFixed(6), quantities: amounts, reserved, reservation: 'settled' };
});

const open = (minutesAgo: number, endsMs: number): StoredEvent => ({
  ...{ timeMs: now - minutesAgo * minuteMs, tenant: 'tenant-1', plan: 'pro', model: 'gpt-4o', cost: '0.02' },
  ...{ route: routes[0], quantities: { tokens: 900, usd: '0.02' }, reserved: { tokens: 900, usd: '0.02' } },
  ...{ reservation: 'open', reservedUntilMs: endsMs },
});
const events: StoredEvent[] = [
  ...calls,
  open(40, now - 30 * minuteMs),
  open(2, now + 8 * minuteMs),
  // Neither is a call whose usage is measured, nor a customer.
  { timeMs: now - hourMs, tenant: 'tenant-1', plan: 'pro', cost: 77 },
  { timeMs: now - hourMs, tenant: 'anonymous', model: 'gpt-4o', cost: 99, quantities: { tokens: 5 } },
  { timeMs: now - hourMs, tenant: heartbeatTenant, type: 'tollgate.heartbeat.v1', cost: 55 },
];

beforeAll(async () => {
  clickhouse = createClickHouse({ url: servers().clickhouseUrl, database });
  await migrate(clickhouse);
  await storePricedPlans(clickhouse);
  await storeUsage(clickhouse, events);
});

afterAll(async () => {
  await clickhouse.command(`DROP DATABASE ${database} SYNC`);
  await clickhouse.close();
});

/** The range begins in the middle of an hour. */
const view: View = {
  ...{ fromMs: now - 20 * 24 * hourMs - 17 * minuteMs, toMs: now, intervalMs: 6 * hourMs },
  variables: { database, quantity: 'tokens' },
};
/** Totals are exact to the minute. */
const from = `toDateTime(${Math.floor(view.fromMs / minuteMs) * 60})`;
const isCustomer = `startsWith(tenant_id, 'tenant-')`;
const isCall = `${isCustomer} AND decision = 'allowed' AND (e.model != '' OR length(mapKeys(e.quantities)) > 0)`;
const shown = `FROM usage_events AS e WHERE ${isCall} AND e.time >= ${from}`;
const usd = 'sum(toFloat64(e.cost))';
const tokens = `sum(toFloat64(e.quantities['tokens']))`;

const byDimension = (name: string, sql: string): Readonly<Record<string, string>> => ({
  [`Spend by ${name}`]: graph(name, sql, usd),
  [`Amount of \${quantity} by ${name}`]: graph(name, sql, tokens),
  [`Spend and amount of \${quantity} by ${name}`]: `
    SELECT ${sql} AS ${name}, count() AS calls, ${tokens} AS amount, ${usd} AS spend,
           spend / (SELECT ${usd} ${shown}) AS share, spend / calls AS spend_per_call
    ${shown} GROUP BY ${name} ORDER BY spend DESC, ${name}`,
});

function graph(name: string, sql: string, value: string): string {
  const largest = `SELECT own FROM (SELECT ${sql} AS own, ${value} AS total ${shown} GROUP BY own) ORDER BY total DESC, own LIMIT 10`;
  const label = `if(${sql} IN (${largest}), ${sql}, 'all others')`;
  return `SELECT toDateTime(intDiv(toUnixTimestamp(e.time), 21600) * 21600) AS time, ${label} AS ${name}, ${value} AS value
    ${shown} GROUP BY 1, 2 ORDER BY 1, 2`;
}

const month = 'toStartOfMonth(today())';
const secondsOf = (date: string): string => `toUnixTimestamp(toDateTime(${date}, 'UTC'))`;
const factor = `(${secondsOf(`addMonths(${month}, 1)`)} - ${secondsOf(month)}) / greatest(toUnixTimestamp(now()) - ${secondsOf(month)}, 3600)`;
const priceOf = (plan: string): string =>
  `multiIf(${plan} = 'free', 0, ${plan} = 'pro', 49, ${plan} = 'enterprise', 499, NULL)`;
const ended = `FROM usage_events AS e WHERE ${isCustomer} AND e.time >= toDateTime(${Math.floor(view.fromMs / 1000)}) AND reservation IN ('settled', 'cancelled')`;

const independent: Readonly<Record<string, string>> = {
  Spend: `SELECT ${usd} AS spend ${shown}`,
  'Amount of ${quantity}': `SELECT ${tokens} AS amount ${shown}`,
  Calls: `SELECT count() AS calls ${shown}`,
  'Tenants with spend': `SELECT count(DISTINCT tenant_id) AS tenants ${shown}`,
  ...byDimension('tenant', 'tenant_id'),
  ...byDimension('model', `multiIf(e.model = '', '(none)', e.model)`),
  ...byDimension('route', 'route'),
  'Reserved and settled ${quantity}': `
    SELECT toDateTime(intDiv(toUnixTimestamp(e.time), 21600) * 21600) AS time,
           sum(toFloat64(e.reserved['tokens'])) AS reserved, sum(toFloat64(e.quantities['tokens'])) AS settled
    ${ended} GROUP BY 1 ORDER BY 1`,
  'Reserved and settled ${quantity} by route': `
    SELECT route, count() AS calls, sum(toFloat64(e.reserved['tokens'])) AS reserved_amount, ${tokens} AS settled_amount,
           settled_amount / reserved_amount AS share, sum(e.quantities['tokens'] > e.reserved['tokens']) AS exceeded,
           sum(reservation = 'cancelled') AS cancelled
    ${ended} GROUP BY route ORDER BY reserved_amount DESC`,
  'Reservations without a settlement': `
    SELECT reserved_until AS ends, multiIf(toUnixTimestamp(reserved_until) < toUnixTimestamp(now()), 'expired', 'open') AS state, tenant_id AS tenant, user_id, route, model,
           e.time AS called_at, 'tokens 900, usd 0.02' AS amounts, reservation_id
    FROM usage_events AS e WHERE reservation = 'open' ORDER BY ends`,
  'Margin by plan, this month': `
    SELECT own_plan AS plan, count() AS tenants, sum(${priceOf('own_plan')}) AS prices, sum(own_cost) AS cost_so_far,
           sum(own_cost * ${factor}) AS projected_cost, prices - projected_cost AS margin, if(prices = 0, NULL, margin / prices) AS share
    FROM (SELECT tenant_id, any(e.plan) AS own_plan, sumIf(toFloat64(e.cost), decision != 'limited') AS own_cost
          FROM usage_events AS e WHERE ${isCustomer} AND toDate(e.time, 'UTC') >= ${month} GROUP BY tenant_id)
    WHERE own_plan != 'unpriced' GROUP BY own_plan ORDER BY margin`,
  'Spend against the price of the plan, this month': `
    SELECT tenant_id AS tenant, any(e.plan) AS plan, ${priceOf('plan')} AS price, ${usd} AS spend, if(price = 0, NULL, spend / price) AS share
    FROM usage_events AS e WHERE ${isCall} AND toDate(e.time, 'UTC') >= ${month}
    GROUP BY tenant_id HAVING spend > 0 ORDER BY spend DESC`,
};

describe('F1: the figures of spend', () => {
  const panels = allPanels(builtDashboards().get('spend')!) as unknown as readonly {
    readonly title: string;
    readonly targets?: readonly { readonly rawSql?: string }[];
  }[];
  const sqlOf = (title: string): string =>
    panels.find((panel) => withoutCurrency(panel.title) === title)?.targets?.[0]?.rawSql ?? '';

  test('each panel on ClickHouse has a query of its own here', () => {
    const onClickHouse = panels.filter(({ targets = [] }) =>
      targets.some(({ rawSql }) => rawSql !== undefined),
    );
    expect(Object.keys(independent).toSorted()).toEqual(
      onClickHouse.map(({ title }) => withoutCurrency(title)).toSorted(),
    );
  });

  test.each(Object.entries(independent))('%s', async (title, sql) => {
    const rows = await clickhouse.query<Record<string, unknown>>(
      expandMacros(interpolate(sqlOf(title), view), view),
    );
    const own = await clickhouse.query<Record<string, unknown>>(sql);
    // Sums of floats depend on their order, and a projection depends on the second of the query.
    const close = (row: Record<string, unknown>): Record<string, unknown> =>
      Object.fromEntries(
        Object.entries(row).map(([column, value]) => [
          column,
          typeof value === 'number'
            ? (expect.closeTo(value, /margin|projected/.test(column) ? 1 : 5) as unknown)
            : value,
        ]),
      );
    expect(own.length).toBeGreaterThan(0);
    expect(rows).toEqual(own.map(close));
  });

  test('the currency of titles and headings is that of the policy', async () => {
    const variables = builtDashboards().get('spend')?.templating.list ?? [];
    const sql = variables.find(({ name }) => name === 'currency')?.query;
    expect(await clickhouse.query(interpolate(sql as string, view))).toEqual([{ currency: 'EUR' }]);
  });

  test('the variable offers the quantities that calls have used, tokens first', async () => {
    const variables = builtDashboards().get('spend')?.templating.list ?? [];
    const sql = variables.find(({ name }) => name === 'quantity')?.query;
    expect(await clickhouse.query(interpolate(sql as string, view))).toEqual([
      { quantity: 'tokens' },
      { quantity: 'usd' },
    ]);
  });
});
