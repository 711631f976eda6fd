import type { ClickHouse } from '../../../shared/clickhouse/client.ts';
import { deriveTotalsBetween } from '../../../shared/clickhouse/derive-totals.ts';
import { sampleTenants } from '../tenants.ts';
import { historyAlertsSql, historyEventsSql } from './history-sql.ts';

const historyDays = 90;
/** The same seed gives the same events on every machine and at every start. */
const historySeed = 20_261_126;
const dayMs = 86_400_000;

export interface History {
  readonly days: number;
  readonly seed: number;
  readonly events: number;
}

/**
 * Fills an empty database with the sample calls of the last 90 days, so that graphs, lists and dashboards have data at
 * the first start. Days have fewer calls at weekends and more from week to week, and on one day the upstream fails for
 * an hour. Tenants without sample traffic have no calls today, so that today has the user's own calls only.
 *
 * The events go into the table of events, and totals are derived from them by the statements of the aggregator. Returns
 * null if the database has totals already. If a start ends half-way, the next start inserts the same events again,
 * which are the same rows.
 */
export async function createHistory(
  clickhouse: ClickHouse,
  nowMs: number,
  { seed = historySeed, days = historyDays }: { readonly seed?: number; readonly days?: number } = {},
): Promise<History | null> {
  const [stored] = await clickhouse.query<{ rows: number }>('SELECT count() AS rows FROM stored_days');
  if ((stored?.rows ?? 0) > 0) return null;
  const params = historyParams(nowMs, seed, days);
  await clickhouse.command(historyEventsSql, params);
  await clickhouse.command(historyAlertsSql, params);
  const todayMs = startOfDay(nowMs);
  await deriveTotalsBetween(clickhouse, todayMs - days * dayMs, todayMs + dayMs);
  const [events] = await clickhouse.query<{ events: number }>('SELECT count() AS events FROM stored_events');
  return { days, seed, events: events?.events ?? 0 };
}

/** Parameters of the statements in `history-sql.ts`. */
export function historyParams(nowMs: number, seed: number, days: number): Readonly<Record<string, unknown>> {
  const tenants = [...sampleTenants, anonymous];
  return {
    seed,
    today: startOfDay(nowMs) / 1000,
    now: nowMs,
    days,
    ids: tenants.map(({ tenantId }) => tenantId),
    plans: tenants.map(({ plan }) => plan),
    calls: tenants.map(({ callsPerDay }) => callsPerDay),
    quotas: tenants.map((tenant) => quotaOf(tenant)),
    busy: tenants.map(({ trafficPerSecond }) => (trafficPerSecond > 0 ? 1 : 0)),
  };
}

function startOfDay(timeMs: number): number {
  return Math.floor(timeMs / dayMs) * dayMs;
}

/** Calls without a credential. They are limited by address. */
const anonymous = {
  tenantId: 'anonymous',
  plan: 'free',
  callsPerDay: 120,
  trafficPerSecond: 1,
  overrides: {},
} as const;

/** Units of a day that the tenant's quota allows; 0: unlimited. `policies/default.yaml` has a quota for one plan only. */
function quotaOf({
  tenantId,
  plan,
  overrides = {},
}: {
  readonly tenantId: string;
  readonly plan: string;
  readonly overrides?: Readonly<Record<string, number>>;
}): number {
  if (plan !== 'free' || tenantId === anonymous.tenantId) return 0;
  return overrides['day'] ?? 1_000;
}
