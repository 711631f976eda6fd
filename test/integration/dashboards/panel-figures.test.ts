import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { allPanels, builtDashboards } from '../../../dashboards/render.ts';
import type { DashboardName } from '../../../dashboards/boards/sources.ts';
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
const dayMs = 24 * hourMs;
/** 14:20 of yesterday, so that every range ends in the past and within one day. */
const now = Math.floor(Date.now() / dayMs) * dayMs - dayMs + 14 * hourMs + 20 * minuteMs;

const { database } = uniqueNamespace();
let clickhouse: ClickHouse;

/** One event every 90 seconds of two days for three customers, callers without a tenant, and the heartbeat. */
const events: StoredEvent[] = Array.from({ length: (2 * dayMs) / 90_000 }, (_, index): StoredEvent[] => {
  const timeMs = now - index * 90_000;
  const refused = index % 7 === 0;
  return [
    {
      timeMs,
      tenant: 'acme',
      plan: 'pro',
      cost: 0.5,
      units: 3,
      ...(refused && { decision: 'limited', limitedBy: ['minute'] }),
    },
    ...(index % 2 === 0 ? [{ timeMs, tenant: 'tiny', cost: 0.25 }] : []),
    ...(index % 40 === 0 ? [{ timeMs, tenant: 'small', cost: 0.125, decision: 'bypassed' as const }] : []),
    { timeMs, tenant: heartbeatTenant, type: 'tollgate.heartbeat.v1' },
    { timeMs, tenant: 'anonymous' },
  ];
}).flat();

beforeAll(async () => {
  clickhouse = createClickHouse({ url: servers().clickhouseUrl, database });
  await migrate(clickhouse);
  await storePricedPlans(clickhouse);
  await storeUsage(clickhouse, events);
  const through = new Date(now).toISOString();
  await clickhouse.insert('pipeline_progress', [
    { topic: 'usage', kafka_partition: 0, complete_through: through, kafka_offset: 1 },
  ]);
  const alert = (kind: string, limit: string, used: number, minutesAgo: number): object => ({
    ...{
      alert_id: `${kind} ${limit} ${minutesAgo}`,
      tenant_id: 'acme',
      kind,
      limit_name: limit,
      used,
      limit: 1000,
    },
    ...{ threshold: 0.5, channel: 'log', target: '', status: 'delivered', attempts: 1 },
    ...{ time: new Date(Date.now() - minutesAgo * minuteMs).toISOString(), period: through },
  });
  await clickhouse.insert('stored_alerts', [
    alert('threshold', 'day', 820, 9),
    // An alert because 963 of the 1000 requests of a minute were refused. The panel must not show it as use of a quota.
    alert('rejections', 'day', 963, 5),
    alert('exceeded', 'month', 1000, 8),
    alert('recovered', 'month', 0, 4),
    alert('rejections', 'minute', 990, 3),
  ]);
});

afterAll(async () => {
  await clickhouse.command(`DROP DATABASE ${database} SYNC`);
  await clickhouse.close();
});

/** The last 85 minutes: neither the start nor the end of the range is at the start of an hour. */
const view: View = {
  fromMs: now - 85 * minuteMs,
  toMs: now,
  intervalMs: minuteMs,
  variables: { database, tenant: 'acme', plan: 'pro' },
};

async function panelRows(
  board: DashboardName,
  title: string,
  shown = view,
): Promise<Record<string, unknown>[]> {
  const dashboard = builtDashboards().get(board);
  const panels = (dashboard === undefined ? [] : allPanels(dashboard)) as unknown as readonly {
    readonly title?: string;
    readonly targets?: readonly { readonly rawSql?: string }[];
  }[];
  const sql = panels
    .find((panel) => withoutCurrency(panel.title ?? '') === title)
    ?.targets?.find(({ rawSql }) => rawSql)?.rawSql;
  if (sql === undefined) throw new Error(`${board} has no panel ${title} with SQL`);
  return clickhouse.query(expandMacros(interpolate(sql, shown), shown));
}

/** Events of customers in a range, including the minute of its end, because figures are exact to the minute. */
function customersBetween(fromMs: number, toMs: number): StoredEvent[] {
  const others = ['anonymous', heartbeatTenant];
  const lastMinuteMs = Math.floor(toMs / minuteMs) * minuteMs;
  return events.filter(
    ({ timeMs, tenant }) => timeMs >= fromMs && timeMs < lastMinuteMs + minuteMs && !others.includes(tenant),
  );
}

const costOf = (list: readonly StoredEvent[], refused: boolean): number =>
  list
    .filter(({ decision }) => (decision === 'limited') === refused)
    .reduce((sum, { cost = 0 }) => sum + Number(cost), 0);

describe('Business: figures of a range that begins and ends within an hour equal those of the events', () => {
  const inRange = customersBetween(view.fromMs, view.toMs);
  const tenants = new Set(inRange.map(({ tenant }) => tenant));

  test.each<readonly [string, Record<string, unknown>]>([
    ['Active tenants', { tenants: 3 }],
    ['Requests', { requests: inRange.length }],
    ['Cost of served requests', { cost: costOf(inRange, false) }],
    ['Money saved by limiting', { saved: costOf(inRange, true) }],
    ['Tenants refused at least once', { tenants: 1 }],
    ['Cost per active tenant', { cost: costOf(inRange, false) / tenants.size }],
  ])('%s', async (title, row) => {
    expect(await panelRows('business', title)).toEqual([row]);
  });

  test('Heaviest tenants: growth compares two ranges of the same length', async () => {
    const before = customersBetween(view.fromMs - 85 * minuteMs, view.fromMs - 1);
    const rows = [...tenants].map((tenant): unknown => {
      const own = inRange.filter((event) => event.tenant === tenant);
      const earlier = before.filter((event) => event.tenant === tenant).length;
      const growth: unknown = earlier === 0 ? null : expect.closeTo(own.length / earlier - 1, 9);
      const share: unknown = expect.closeTo(own.length / inRange.length, 9);
      return expect.objectContaining({
        tenant,
        requests: own.length,
        share,
        growth,
        cost: costOf(own, false),
      });
    });
    expect(await panelRows('business', 'Heaviest tenants')).toEqual(expect.arrayContaining(rows));
  });

  test('Plans, Cost per tenant, Served and saved: their sums are those of the range', async () => {
    const sum = (rows: readonly Record<string, unknown>[], column: string): number =>
      rows.reduce((total, row) => total + Number(row[column]), 0);
    const plans = await panelRows('business', 'Plans');
    expect([sum(plans, 'requests'), sum(plans, 'tenants')]).toEqual([inRange.length, 3]);
    expect(sum(await panelRows('business', 'Cost per tenant'), 'cost')).toBeCloseTo(costOf(inRange, false));
    const served = await panelRows('business', 'Served and saved');
    expect(sum(served, 'served')).toBeCloseTo(costOf(inRange, false));
    expect(sum(served, 'saved')).toBeCloseTo(costOf(inRange, true));
  });

  test.each([
    ['within one hour', now - 12 * minuteMs, now - 3 * minuteMs],
    ['from the start of an hour to the start of another', now - 140 * minuteMs, now - 20 * minuteMs],
    ['over midnight', now - 20 * hourMs, now],
  ])('Requests of a range %s', async (_, fromMs, toMs) => {
    expect(await panelRows('business', 'Requests', { ...view, fromMs, toMs })).toEqual([
      { requests: customersBetween(fromMs, toMs).length },
    ]);
  });
});

test('Business: a share of refused requests is no share of a quota, and a quota with units again is not listed', async () => {
  expect(await panelRows('business', 'Close to their limits')).toEqual([
    expect.objectContaining({ tenant: 'acme', limit_name: 'day', used: 820, share: 0.82 }),
  ]);
});

describe('Tenant', () => {
  const dayStart = Math.floor(now / dayMs) * dayMs;
  const unitsBetween = (fromMs: number, toMs: number): number =>
    customersBetween(fromMs, toMs)
      .filter(({ tenant, decision }) => tenant === 'acme' && decision !== 'limited')
      .reduce((sum, { units = 1 }) => sum + units, 0);

  test('the quota chart counts from the start of the day, also where the range begins later', async () => {
    const rows = await panelRows('tenant', 'Units of the day against the plan’s day quota');
    expect(rows.at(-1)?.['units']).toBe(unitsBetween(dayStart, now));
    const first = rows[0] as { time: string; units: number };
    const firstMs = Date.parse(first.time);
    expect(first.units).toBe(unitsBetween(dayStart, firstMs + minuteMs - 1));
  });

  test('the quota chart begins again at midnight', async () => {
    const rows = await panelRows('tenant', 'Units of the day against the plan’s day quota', {
      ...view,
      fromMs: now - 20 * hourMs,
    });
    expect(rows.at(-1)?.['units']).toBe(unitsBetween(dayStart, now));
  });

  test('an interval that is not complete is not shown, and a decision that never occurred is no series', async () => {
    const rows = await panelRows('tenant', 'Requests per minute by decision');
    const last = rows.at(-1) as { time: string };
    expect(Date.parse(last.time)).toBeLessThan(now);
    expect(rows.every((row) => row['shadow_limited'] === null && row['bypassed'] === null)).toBe(true);
    const refused = customersBetween(view.fromMs, now - 1).filter(
      ({ tenant, decision }) => tenant === 'acme' && decision === 'limited',
    );
    expect(rows.reduce((sum, row) => sum + Number(row['limited']), 0)).toBe(refused.length);
    const units = await panelRows('tenant', 'Units per minute against the plan’s minute limits');
    expect((units.at(-1) as { time: string }).time <= last.time).toBe(true);
  });
});
