import { chunksOfIds } from '../client.ts';
import type { ClickHouseReader } from '../client.ts';
import type { Amount } from '../../domain/amount.ts';
import type { ExactAmounts } from '../../domain/events/call-usage.ts';
import type { Money } from '../../domain/money.ts';
import { requestEventType } from '../../domain/usage-event.ts';
import { amountsText, parseAmounts, withMoney } from './decimals.ts';
import type { AmountsAsText, MoneyAsText } from './decimals.ts';
import { countedByQuotas, served } from './predicates.ts';
import { usageRows } from './usage-levels.ts';

/** A span of whole minutes, in Unix milliseconds. `startMs` is included, `endMs` is excluded. */
export interface Span {
  readonly startMs: number;
  readonly endMs: number;
}

/**
 * Usage of one tenant in a span. `requests`, `allowed`, `limited`, `bypassed` and `errors` count requests. `units`,
 * `consumed` and `cost` exclude refused events, and include events of every type, because events of API servers consume
 * units too.
 */
export interface TenantTotalsRow {
  readonly tenant_id: string;
  /** Plan of the newest events that have a plan; empty if no event has one. */
  readonly plan: string;
  readonly requests: number;
  readonly allowed: number;
  readonly limited: number;
  readonly bypassed: number;
  readonly errors: number;
  readonly units: Amount;
  /** Units that quotas count (see `countedByQuotas`). */
  readonly consumed: Amount;
  readonly cost: Money;
  /** Amounts that quotas count, by quantity. */
  readonly quantities: ExactAmounts;
  /** The part of `quantities` and of `consumed` that belongs to open reservations. */
  readonly reserved: ExactAmounts;
  readonly reserved_units: Amount;
  /** The units of `consumed`, by route. */
  readonly consumed_by_route: Readonly<Record<string, Amount>>;
}

/** Returns the totals by tenant id. A tenant without events in the span has no entry. */
export async function periodTotals(
  clickhouse: ClickHouseReader,
  tenantIds: readonly string[],
  span: Span,
): Promise<Map<string, TenantTotalsRow>> {
  const { whole } = await nestedTotals(clickhouse, tenantIds, { whole: span, part: null });
  return whole;
}

/**
 * Returns the totals of a span and of a part of it, e.g. of a month and of a day, as `periodTotals` does. One statement reads both,
 * because preparing the statement costs ClickHouse more than reading a second span. So the part never exceeds the whole.
 */
export async function nestedTotals(
  clickhouse: ClickHouseReader,
  tenantIds: readonly string[],
  { whole, part }: { readonly whole: Span; readonly part: Span | null },
): Promise<{ readonly whole: Map<string, TenantTotalsRow>; readonly part: Map<string, TenantTotalsRow> }> {
  const spans =
    part === null
      ? [whole]
      : [{ startMs: whole.startMs, endMs: part.startMs }, part, { startMs: part.endMs, endMs: whole.endMs }];
  const source = usageRows(spans, {
    columns:
      'tenant_id, plan, route, type, decision, requests, allowed, limited, bypassed, errors, units, cost, quantities, reserved_units, reserved',
    where: 'tenant_id IN {tenants:Array(String)}',
  });
  const totals = { whole: new Map<string, TenantTotalsRow>(), part: new Map<string, TenantTotalsRow>() };
  for (const tenants of chunksOfIds(tenantIds)) {
    const rows = await clickhouse.query<TotalsAsText>(totalsSql(source.sql), {
      ...source.params,
      tenants,
      requestType: requestEventType,
      partFrom: part?.startMs ?? 0,
      partTo: part?.endMs ?? 0,
    });
    for (const { is_part: isPart, ...row } of rows) {
      const { quantities, reserved } = row;
      const amounts = { quantities: parseAmounts(quantities), reserved: parseAmounts(reserved) };
      totals[isPart ? 'part' : 'whole'].set(row.tenant_id, withMoney({ ...row, ...amounts }));
    }
  }
  return totals;
}

type TotalsAsText = Omit<MoneyAsText<TenantTotalsRow>, 'quantities' | 'reserved'> & {
  readonly quantities: AmountsAsText;
  readonly reserved: AmountsAsText;
  readonly is_part: boolean;
};

/** A row in the part counts for the part and for the whole. */
const totalsSql = (source: string): string => `
SELECT
    tenant_id,
    arrayJoin(if(at >= fromUnixTimestamp64Milli({partFrom:Int64}, 'UTC') AND at < fromUnixTimestamp64Milli({partTo:Int64}, 'UTC'),
        [false, true], [false])) AS is_part,
    argMax(u.plan, (u.plan != '', at)) AS plan,
    sumIf(u.requests, type = {requestType:String}) AS requests,
    sumIf(u.allowed, type = {requestType:String}) AS allowed,
    sumIf(u.limited, type = {requestType:String}) AS limited,
    sumIf(u.bypassed, type = {requestType:String}) AS bypassed,
    sumIf(u.errors, type = {requestType:String}) AS errors,
    sumIf(u.units, ${served}) AS units,
    sumIf(u.units, counted) AS consumed,
    toString(sumIf(u.cost, ${served})) AS cost,
    ${amountsText('sumMapIf(u.quantities, counted)')} AS quantities,
    ${amountsText('sumMapIf(u.reserved, counted)')} AS reserved,
    sumIf(u.reserved_units, counted) AS reserved_units,
    sumMapIf(map(route, u.units), counted) AS consumed_by_route
FROM (
    SELECT *, ${countedByQuotas} AS counted FROM (${source})
) AS u
GROUP BY tenant_id, is_part`;
