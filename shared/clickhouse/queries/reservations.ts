import type { ExactAmounts } from '../../domain/events/call-usage.ts';
import type { Amount } from '../../domain/amount.ts';
import type { ClickHouseReader, Params } from '../client.ts';
import { amountsText, parseAmounts } from './decimals.ts';
import type { AmountsAsText } from './decimals.ts';
import { levelRange } from './usage-levels.ts';
import { decisionSpan } from './event-identity.ts';

/** An open reservation of a call. */
export interface OpenReservation {
  readonly reservation_id: string;
  /** Id of the event of the call. */
  readonly event_id: string;
  readonly tenant_id: string;
  readonly user_id: string;
  readonly route: string;
  readonly model: string;
  /** Interface by which the call reached the gateway, e.g. `proxy` or `check`. */
  readonly entrypoint: string;
  /** Gateway that decided about the call. */
  readonly node: string;
  /** Time of the call, ISO 8601. */
  readonly time: string;
  readonly expires_at: string;
  /** True if `expires_at` has passed. */
  readonly expired: boolean;
  readonly reserved: ExactAmounts;
}

export interface ReservationsQuery {
  /** Null: all tenants. */
  readonly tenantId: string | null;
  /** True: only reservations whose end has passed. */
  readonly expiredOnly: boolean;
  /** Unix milliseconds: calls since this time. */
  readonly sinceMs: number;
  readonly nowMs: number;
  readonly countMax: number;
}

/** Returns the open reservations, those that end first first. */
export async function openReservations(
  clickhouse: ClickHouseReader,
  { tenantId, expiredOnly, sinceMs, nowMs, countMax }: ReservationsQuery,
): Promise<OpenReservation[]> {
  const rows = await clickhouse.query<
    Omit<OpenReservation, 'reserved'> & { readonly reserved: AmountsAsText }
  >(
    `SELECT reservation_id, event_id, tenant_id, user_id, route, model, entrypoint, node, time, reserved_until AS expires_at,
      toBool(reserved_until < toDateTime({now:UInt32}, 'UTC')) AS expired, ${amountsText('u.reserved')} AS reserved
    FROM usage_events AS u
    WHERE time >= fromUnixTimestamp64Milli({since:Int64}, 'UTC') AND reservation = 'open'
      ${tenantId === null ? '' : 'AND tenant_id = {tenant:String}'}
      ${expiredOnly ? `AND reserved_until < toDateTime({now:UInt32}, 'UTC')` : ''}
    ORDER BY expires_at, event_id
    LIMIT {countMax:UInt32}`,
    {
      ...{ since: sinceMs, countMax, now: Math.floor(nowMs / 1000) },
      ...(tenantId === null ? {} : { tenant: tenantId }),
    },
  );
  return rows.map((row) => ({ ...row, reserved: parseAmounts(row.reserved) }));
}

/** The call of a reservation, as its event states it. */
export interface StoredCall {
  readonly source: string;
  readonly user_id: string;
  readonly route: string;
  /** Empty if the call has no model. */
  readonly model: string;
  /** Unix milliseconds. */
  readonly time_ms: number;
  readonly units: Amount;
  /** open, settled or cancelled */
  readonly reservation: string;
}

/**
 * Returns the call of a tenant whose reservation has the id of its decision. Null if no event of this reservation is stored
 * (yet), or if the id is not a UUIDv7.
 */
export async function callById(
  clickhouse: ClickHouseReader,
  tenantId: string,
  id: string,
): Promise<StoredCall | null> {
  const span = decisionSpan(id);
  if (span === null) return null;
  const [call] = await clickhouse.query<StoredCall>(
    `SELECT source, user_id, route, model, toUnixTimestamp64Milli(time) AS time_ms, units, reservation
    FROM usage_events
    WHERE time >= fromUnixTimestamp64Milli({from:Int64}, 'UTC') AND time <= fromUnixTimestamp64Milli({to:Int64}, 'UTC')
      AND tenant_id = {tenant:String} AND event_id = {id:String} AND reservation != ''
    LIMIT 1`,
    { ...span, tenant: tenantId },
  );
  return call ?? null;
}

interface ReservationCounts {
  readonly open: number;
  /** The part of `open` whose end has passed. */
  readonly expired: number;
  /** The part of `expired` whose end has passed since `expiredSinceMs`. */
  readonly expiredRecently: number;
  /** The tenants with most of these, at most `tenantsMax`. */
  readonly tenants: readonly { readonly tenantId: string; readonly expiredRecently: number }[];
}

interface CountQuery {
  /** Unix milliseconds: calls since this time. */
  readonly sinceMs: number;
  readonly expiredSinceMs: number;
  readonly tenantsMax: number;
  readonly nowMs: number;
}

/**
 * Counts the open reservations of calls since `sinceMs`. Reads only the rows of calls with a reservation, and their newest
 * revision without FINAL: every row of such a call has a state.
 */
export async function countReservations(
  clickhouse: ClickHouseReader,
  { sinceMs, expiredSinceMs, tenantsMax, nowMs }: CountQuery,
): Promise<ReservationCounts> {
  const params: Params = {
    ...{ since: sinceMs, tenantsMax, now: Math.floor(nowMs / 1000) },
    expiredSince: Math.floor(expiredSinceMs / 1000),
  };
  const [row] = await clickhouse.query<
    Omit<ReservationCounts, 'tenants'> & { readonly tenants: readonly (readonly [string, number])[] }
  >(
    `SELECT sum(of_tenant.1) AS open, sum(of_tenant.2) AS expired, sum(of_tenant.3) AS expiredRecently,
      arraySlice(arraySort(one -> (-one.2, one.1), groupArrayIf((tenant_id, of_tenant.3), of_tenant.3 > 0)), 1, {tenantsMax:UInt32}) AS tenants
    FROM (
      SELECT tenant_id, (
        count(),
        countIf(until < toDateTime({now:UInt32}, 'UTC')),
        countIf(until < toDateTime({now:UInt32}, 'UTC') AND until >= toDateTime({expiredSince:UInt32}, 'UTC'))
      ) AS of_tenant
      FROM (
        SELECT tenant_id, argMax((reservation, voided), revision) AS newest, argMax(reserved_until, revision) AS until
        FROM stored_events
        WHERE time >= fromUnixTimestamp64Milli({since:Int64}, 'UTC') AND reservation != ''
        GROUP BY tenant_id, time, id_a, id_b
        HAVING newest = ('open', false)
      )
      GROUP BY tenant_id
    )`,
    params,
  );
  const { open = 0, expired = 0, expiredRecently = 0, tenants = [] } = row ?? {};
  return {
    ...{ open, expired, expiredRecently },
    tenants: tenants.map(([tenantId, count]) => ({ tenantId, expiredRecently: count })),
  };
}

/** Returns the amounts of a tenant's open reservations by quantity, of calls since `sinceMs`. */
export async function reservedAmounts(
  clickhouse: ClickHouseReader,
  tenantId: string,
  sinceMs: number,
): Promise<ExactAmounts> {
  const [row] = await clickhouse.query<{ reserved: AmountsAsText }>(
    `SELECT ${amountsText('sumMap(u.reserved)')} AS reserved FROM usage_by_hour AS u
    WHERE tenant_id = {tenant:String} AND ${levelRange('hour', 'since', null)}`,
    { tenant: tenantId, since: sinceMs },
  );
  return parseAmounts(row?.reserved ?? {});
}

/**
 * Returns by tenant the amounts that settlements since `fromMs` should have returned to Redis: the reserved amounts of
 * settled and cancelled reservations that exceed the actual amounts.
 */
export async function readUnreturned(
  clickhouse: ClickHouseReader,
  { fromMs, tenantIds }: { readonly fromMs: number; readonly tenantIds: readonly string[] },
): Promise<ReadonlyMap<string, ExactAmounts>> {
  const excess = `mapApply((name, amount) -> (name, greatest(amount - quantities[name], toDecimal128(0, 12))), reserved)`;
  const rows = await clickhouse.query<{ tenant_id: string; amounts: AmountsAsText }>(
    `SELECT tenant_id, ${amountsText(`sumMap(${excess})`)} AS amounts FROM usage_events
    WHERE time >= fromUnixTimestamp64Milli({from:Int64}, 'UTC') AND tenant_id IN {tenantIds:Array(String)}
      AND reservation IN ('settled', 'cancelled')
    GROUP BY tenant_id`,
    { from: fromMs, tenantIds: [...new Set(tenantIds)] },
  );
  return new Map(rows.map(({ tenant_id: tenantId, amounts }) => [tenantId, parseAmounts(amounts)]));
}
