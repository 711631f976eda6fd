/**
 * Goal: the figures of a month are those of the stored events. Method: each panel's query, and a query on the raw events
 * that is written here without the code of the panel, return the same rows.
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
import { interpolate } from './grafana-variables.ts';
import { storePricedPlans, withoutCurrency } from './priced-plans.ts';

const hourMs = 3_600_000;
const { database } = uniqueNamespace();
let clickhouse: ClickHouse;

/** One event of each customer every five hours, over this month and the last one. */
const now = Date.now();
const events: StoredEvent[] = Array.from({ length: 300 }, (_, index): StoredEvent[] => {
  const timeMs = now - 60_000 - index * 5 * hourMs;
  const limited = { decision: 'limited', limitedBy: ['minute'] } as const;
  return [
    { timeMs, tenant: 'acme', plan: 'pro', cost: index < 40 ? 2 : 0.5, ...(index % 4 === 0 && limited) },
    { timeMs, tenant: 'tiny', plan: 'free', cost: 0.25, ...(index % 3 === 0 && limited) },
    { timeMs, tenant: 'large', plan: 'enterprise', cost: 3, ...(index % 5 === 0 && limited) },
    { timeMs, tenant: 'other', plan: 'unpriced', cost: 1 },
    { timeMs, tenant: heartbeatTenant, type: 'tollgate.heartbeat.v1' },
    { timeMs, tenant: 'anonymous', cost: 9 },
  ];
}).flat();

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

/** Costs of each customer by UTC month, from the raw events. */
const monthly = (from: string, until: string): string => `
  SELECT tenant_id AS tenant, argMax(e.plan, time) AS tenant_plan,
         sumIf(toFloat64(e.cost), decision != 'limited') AS served, sumIf(toFloat64(e.cost), decision = 'limited') AS lost,
         countIf(decision = 'limited') AS refusals
  FROM usage_events AS e
  WHERE tenant_id IN ('acme', 'tiny', 'large', 'other') AND toDate(time, 'UTC') >= ${from} AND toDate(time, 'UTC') < ${until}
  GROUP BY tenant`;
const thisMonth = monthly('toStartOfMonth(today())', 'today() + 1');
/** The month's length ÷ the part of it that has passed. */
const factor = `(toUnixTimestamp(toDateTime(addMonths(toStartOfMonth(today()), 1), 'UTC')) - toUnixTimestamp(toDateTime(toStartOfMonth(today()), 'UTC')))
  / greatest(toUnixTimestamp(now()) - toUnixTimestamp(toDateTime(toStartOfMonth(today()), 'UTC')), 3600)`;
const price =
  "multiIf(tenant_plan = 'free', 0, tenant_plan = 'pro', 49, tenant_plan = 'enterprise', 499, NULL)";

const independent: Readonly<Record<string, string>> = {
  'Cost this month': `SELECT sum(served) AS cost FROM (${thisMonth})`,
  'Projected cost of the month': `SELECT sum(served) * ${factor} AS projected FROM (${thisMonth})`,
  'Projected margin this month': `SELECT sum(${price} - served * ${factor}) AS margin FROM (${thisMonth}) WHERE tenant != 'other'`,
  'Refused revenue this month': `SELECT sum(lost) AS refused_revenue FROM (${thisMonth}) WHERE tenant != 'large'`,
  'Margin by tenant, this month': `
    SELECT tenant, tenant_plan AS plan, ${price} AS price, served AS cost, served * ${factor} AS projected,
           price - projected AS margin, if(price = 0, NULL, margin / price) AS share
    FROM (${thisMonth}) WHERE tenant != 'other' ORDER BY margin, tenant`,
  'Refused revenue by tenant, this month': `
    SELECT tenant, tenant_plan AS plan, refusals AS refused, lost AS refused_cost, if(served = 0, NULL, refused_cost / served) AS relative
    FROM (${thisMonth}) WHERE tenant != 'large' AND refusals > 0 ORDER BY refused_cost DESC, tenant`,
  'Top movers': `
    SELECT tenant, sum(now_cost) AS this_month, sum(before_cost) AS last_month, this_month - last_month AS change,
           if(last_month = 0, NULL, change / last_month) AS relative
    FROM (SELECT tenant, served AS now_cost, 0 AS before_cost FROM (${monthly('toStartOfMonth(today())', 'today()')})
          UNION ALL
          SELECT tenant, 0, served FROM (${monthly(
            'addMonths(toStartOfMonth(today()), -1)',
            'least(toStartOfMonth(today()), addMonths(toStartOfMonth(today()), -1) + (toDayOfMonth(today()) - 1))',
          )}))
    GROUP BY tenant HAVING change != 0 ORDER BY abs(change) DESC, tenant`,
};

describe('C7, E6: the figures of the month', () => {
  const panels = allPanels(builtDashboards().get('business')!) as unknown as readonly {
    readonly title: string;
    readonly description?: string;
    readonly targets?: readonly { readonly rawSql?: string }[];
  }[];
  const ofMonth = panels.filter(({ targets = [] }) =>
    targets.some(({ rawSql = '' }) => rawSql.includes('toStartOfMonth')),
  );

  test('each panel on a month has a query of its own here, and its definition in its description', () => {
    expect(Object.keys(independent).toSorted()).toEqual(
      ofMonth.map(({ title }) => withoutCurrency(title)).toSorted(),
    );
    for (const { title, description = '' } of ofMonth) expect(description, title).toMatch(/\bUTC\b/);
  });

  test.each(Object.entries(independent))('%s', async (title, sql) => {
    const { rawSql = '' } =
      ofMonth.find((panel) => withoutCurrency(panel.title) === title)?.targets?.[0] ?? {};
    const shown = interpolate(rawSql, { fromMs: 0, toMs: 0, intervalMs: 0, variables: { database } });
    const [rows, own] = await Promise.all([
      clickhouse.query<Record<string, unknown>>(shown),
      clickhouse.query<Record<string, unknown>>(sql),
    ]);
    // The projection depends on the second of the query.
    const close = (row: Record<string, unknown>): Record<string, unknown> =>
      Object.fromEntries(
        Object.entries(row).map(([column, value]) => [
          column,
          typeof value === 'number' ? (expect.closeTo(value, 1) as unknown) : value,
        ]),
      );
    expect(own.length).toBeGreaterThan(0);
    expect(rows).toEqual(own.map(close));
  });
});
