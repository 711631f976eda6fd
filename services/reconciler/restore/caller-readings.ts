import { addAmounts } from '../../../shared/domain/amount.ts';
import { countedAmount, quantityOf } from '../../../shared/domain/usage/consumption.ts';
import type { Amount } from '../../../shared/domain/amount.ts';
import { periodAt } from '../../../shared/domain/time/calendar.ts';
import type { PeriodSpan } from '../../../shared/domain/time/calendar.ts';
import { attributeNames } from '../../../shared/domain/limit.ts';
import type { CalendarPeriod, Limit } from '../../../shared/domain/limit.ts';
import { calendarOfLimit, isQuota, isTenantQuota } from '../../../shared/domain/quota.ts';
import type { Policy } from '../../../shared/domain/policy.ts';
import type { Quota } from '../../../shared/domain/quota.ts';
import type { TenantRecord } from '../../../shared/domain/tenant.ts';
import { anonymousTenant } from '../../../shared/domain/usage-event.ts';
import { readConsumedByCaller } from '../../../shared/clickhouse/queries/consumption/consumed-by-caller.ts';
import type { CallerConsumed } from '../../../shared/clickhouse/queries/consumption/consumed-by-caller.ts';
import { openReading, quotasFor } from '../../../shared/policy/quota-readings.ts';
import { addressPart } from '../../../shared/redis/keys.ts';
import type { Caller } from '../../../shared/redis/decision/subjects.ts';
import { baseKind } from '../../../shared/redis/decision/windows.ts';
import type { BaseKind } from '../../../shared/redis/decision/windows.ts';
import { limitsOf, periodsOf } from './tenant-readings.ts';
import type { CalendarOfPeriod, TenantReadingsQuery } from './tenant-readings.ts';

/**
 * One quota counter of a user, an address, a model, a group of tenants or of all requests (`per: global`), with what
 * ClickHouse counts for it.
 */
export interface CallerReading {
  /** One of the callers whose checks read this counter. */
  readonly caller: Caller;
  readonly quota: Quota;
  readonly span: PeriodSpan;
  readonly calendar: string | null;
  /** In smallest units, without the reserved amounts that `CallerReadingsQuery` excludes. */
  readonly consumed: Amount;
  readonly sinceReset: Amount;
}

export interface CallerReadingsQuery extends TenantReadingsQuery {
  /** Largest number of groups of callers to read from ClickHouse. The groups with the most usage are read. */
  readonly rowsMax: number;
  /**
   * Unix milliseconds: reads only the callers of `tenantIds` with requests that passed without Redis since this time. Absent:
   * reads all callers.
   */
  readonly degradedSinceMs?: number;
  /**
   * Unix milliseconds: the amounts of open reservations of calls since this time are excluded, because a settlement may have
   * lowered them in Redis already. Earlier open reservations count, because Redis lost them at this time.
   */
  readonly reservedSinceMs: number;
}

type MutableReading = CallerReading & { consumed: Amount; sinceReset: Amount };

/**
 * Reads the units of every quota counter of users and addresses that has units in a current period. Reads nothing if the policy
 * has no quota of this kind. A counter that tenants share (of an address, or of all requests) has periods in UTC, for tenants in
 * all calendars. `cut` is true when callers with little usage were left out.
 */
export async function readCallerQuotas(
  query: CallerReadingsQuery,
): Promise<{ readings: CallerReading[]; cut: boolean }> {
  const { rowsMax } = query;
  const counters = new Map<string, MutableReading>();
  let cut = false;
  for (const { period, calendar } of periodsOf(storedQuotas(query.policy), query)) {
    const rows = await rowsOf(query, { period, calendar });
    cut ||= rows.length >= rowsMax;
    for (const [tenantId, rowsOfTenant] of Map.groupBy(rows, ({ tenant_id }) => tenant_id)) {
      const record = query.records.get(tenantId) ?? null;
      const afterReset = await rowsAfterReset(query, { tenantId, record, period, calendar, rowsMax });
      addTenant(counters, query, { period, calendar, record, rows: rowsOfTenant, afterReset });
    }
  }
  return { readings: [...counters.values()].toSorted((a, b) => usedShareOf(b) - usedShareOf(a)), cut };
}

/** Quotas per tenant are included, because they count callers without a tenant by their address. */
function storedQuotas(policy: Policy): readonly Quota[] {
  return [...limitsOf(policy), ...[...policy.groups.values()].flat(), ...policy.platform].filter(isQuota);
}

async function rowsOf(
  {
    clickhouse,
    records,
    policy,
    nowMs,
    tenantIds,
    degradedSinceMs,
    reservedSinceMs,
    rowsMax,
  }: CallerReadingsQuery,
  { period, calendar }: CalendarOfPeriod,
): Promise<CallerConsumed[]> {
  const ofCallers = storedQuotas(policy).filter((quota) => isCallerQuota(policy, quota));
  const has = (quota: Quota, record: TenantRecord | null): boolean =>
    quota.period === period && calendarOfLimit(quota, record) === calendar;
  const isOfTenantsWithoutRecord = storedQuotas(policy).some((quota) => has(quota, null));
  const inCalendar = [...records.values()].filter((record) => ofCallers.some((quota) => has(quota, record)));
  // The counter of an address or of all requests is shared by tenants, so it also sums tenants that are not in `tenantIds`.
  const isShared = ofCallers.some(({ per }) => !per.includes('tenant') && !per.includes('user'));
  const queried = tenantIds === undefined || isShared ? null : [...tenantIds];
  // Null reads all tenants.
  const tenantsToRead = isOfTenantsWithoutRecord ? queried : inCalendar.map(({ tenant_id }) => tenant_id);
  if (tenantsToRead?.length === 0) return [];
  if (ofCallers.length === 0 && tenantIds?.has(anonymousTenant) === false) return [];
  // The requests of one caller are only a part of the counter of all requests, or of a group.
  const sumsAll = ofCallers.some(
    ({ per }) => per.includes('group') || per.every((part) => part === 'global'),
  );
  return readConsumedByCaller(clickhouse, {
    fromMs: periodAt(period, calendar, nowMs).startMs,
    // If all quotas are per tenant, only the callers without a tenant have a counter per address.
    tenantIds: ofCallers.length === 0 ? [anonymousTenant] : tenantsToRead,
    degradedSinceMs: sumsAll ? null : (degradedSinceMs ?? null),
    byAddress: ofCallers.some(({ per }) => per.includes('ip')),
    byModel: countsModels(ofCallers),
    reservedSinceMs,
    rowsMax,
  });
}

function countsModels(quotas: readonly Quota[]): boolean {
  return quotas.some((quota) => attributeNames(quota).length > 0);
}

function isCallerQuota(policy: Policy, limit: Limit): limit is Quota {
  return isStoredQuota(policy, limit) && !isTenantQuota(limit);
}

/**
 * Events have no other attribute than the model, so ClickHouse has no consumption of quotas that count API keys, claims or
 * header fields.
 */
function isStoredQuota({ attributes }: Policy, limit: Limit): limit is Quota {
  return isQuota(limit) && attributeNames(limit).every((name) => attributes.get(name)?.kind === 'model');
}

/**
 * Reads the units that the tenant's callers consumed since a reset within the period. Returns null when the period has no reset.
 */
async function rowsAfterReset(
  { clickhouse, policy, nowMs, reservedSinceMs }: CallerReadingsQuery,
  { tenantId, record, period, calendar, rowsMax }: TenantPeriod,
): Promise<CallerConsumed[] | null> {
  const fromMs = record?.reset?.at_ms;
  if (fromMs === undefined || fromMs <= periodAt(period, calendar, nowMs).startMs) return null;
  return readConsumedByCaller(clickhouse, {
    ...{ fromMs, tenantIds: [tenantId], degradedSinceMs: null, reservedSinceMs, byAddress: true, rowsMax },
    byModel: countsModels(storedQuotas(policy).filter((quota) => isCallerQuota(policy, quota))),
  });
}

interface TenantPeriod {
  readonly tenantId: string;
  readonly record: TenantRecord | null;
  readonly period: CalendarPeriod;
  readonly calendar: string | null;
  readonly rowsMax: number;
}

interface TenantRows {
  readonly period: CalendarPeriod;
  readonly calendar: string | null;
  readonly record: TenantRecord | null;
  readonly rows: readonly CallerConsumed[];
  readonly afterReset: readonly CallerConsumed[] | null;
}

function addTenant(
  counters: Map<string, MutableReading>,
  query: TenantReadingsQuery,
  { period, calendar, record, rows, afterReset }: TenantRows,
): void {
  const quotas = [...quotasOf(rows, query, record)].filter((quota) => quota.period === period);
  // A reset of a tenant empties its own counters and not that of its group.
  const [ofGroups, resettable] = [quotas.filter(countsGroup), quotas.filter((quota) => !countsGroup(quota))];
  const add = (row: CallerConsumed, field: 'consumed' | 'sinceReset', counted: readonly Quota[]): void => {
    for (const quota of counted) {
      if (quota.route !== null && quota.route !== row.route) continue;
      const counter = counterOf(counters, query, { row, quota, record, calendar });
      if (counter === null) continue;
      const { consumed, reserved } = countedAmount(row, quantityOf(query.policy.quantities, quota.of));
      counter[field] = addAmounts(counter[field], withoutReserved(consumed, reserved));
    }
  };
  for (const row of rows) {
    add(row, 'consumed', quotas);
    add(row, 'sinceReset', afterReset === null ? quotas : ofGroups);
  }
  for (const row of afterReset ?? []) add(row, 'sinceReset', resettable);
}

function countsGroup({ per }: Quota): boolean {
  return per.includes('group');
}

function withoutReserved(consumed: Amount, reserved: Amount): Amount {
  return consumed === null || reserved === null ? null : consumed - reserved;
}

/**
 * Returns the quotas of all plans in `rows`. As in a check, equal quotas of several plans share one counter, so each counter
 * appears once.
 */
function quotasOf(
  rows: readonly CallerConsumed[],
  { policy, nowMs }: TenantReadingsQuery,
  record: TenantRecord | null,
): Iterable<Quota> {
  const isCounted = rows[0]?.tenant_id === anonymousTenant ? isStoredQuota : isCallerQuota;
  const counts = (limit: Limit): limit is Quota => isCounted(policy, limit);
  const quotas = new Map<string, Quota>();
  for (const plan of new Set(rows.map(({ plan: own }) => own))) {
    for (const quota of quotasFor(policy, { plan, record, nowMs }, counts)) {
      quotas.set(JSON.stringify([quota.name, quota.per, quota.period, quota.route]), quota);
    }
  }
  return quotas.values();
}

interface CounterQuery {
  readonly row: CallerConsumed;
  readonly quota: Quota;
  readonly record: TenantRecord | null;
  readonly calendar: string | null;
}

function counterOf(
  counters: Map<string, MutableReading>,
  { policy, nowMs }: TenantReadingsQuery,
  { row, quota, record, calendar }: CounterQuery,
): MutableReading | null {
  const caller = {
    tenantId: row.tenant_id === anonymousTenant ? null : row.tenant_id,
    userId: row.user_id === '' ? null : row.user_id,
    ip: row.client_ip,
    groupId: record?.group ?? null,
    attributes: Object.fromEntries(attributeNames(quota).map((name) => [name, row.model])),
  };
  const identity = identityOf(quota, caller);
  const owner = sharedKinds.has(identity[0]) ? null : record;
  if (calendarOfLimit(quota, owner) !== calendar) return null;
  const key = JSON.stringify([quota.name, quota.period, quota.route, ...identity]);
  const existing = counters.get(key);
  if (existing !== undefined) return existing;
  const { span } = openReading(policy, row.tenant_id, quota, { record: owner, atMs: nowMs });
  const counter: MutableReading = { caller, quota, span, calendar, consumed: 0, sinceReset: 0 };
  counters.set(key, counter);
  return counter;
}

/** Kinds of counters that tenants with different calendars may share. */
const sharedKinds: ReadonlySet<BaseKind> = new Set(['address', 'global', 'group']);

/** The identity that a counter belongs to: callers with the same identity share the counter. */
function identityOf(quota: Quota, caller: Caller): [BaseKind, ...(string | null)[]] {
  const values = attributeNames(quota).map((name) => caller.attributes?.[name] ?? '');
  return [...baseIdentityOf(quota, caller), ...values];
}

function baseIdentityOf(
  quota: Quota,
  { tenantId, userId, ip, groupId = null }: Caller,
): [BaseKind, ...(string | null)[]] {
  const kind = baseKind(quota, tenantId !== null, userId !== null);
  switch (kind) {
    case 'tenant':
      return [kind, tenantId];
    case 'user':
      return [kind, tenantId, userId];
    case 'address':
      return [kind, addressPart(ip)];
    case 'tenantAddress':
      return [kind, tenantId, addressPart(ip)];
    case 'userAddress':
      return [kind, tenantId, userId, addressPart(ip)];
    case 'global':
      return [kind];
    // A tenant without a group is a group of its own.
    case 'group':
      return groupId === null ? [kind, 'tenant', tenantId] : [kind, 'group', groupId];
  }
}

function usedShareOf({ consumed, quota }: CallerReading): number {
  return (consumed ?? 0) / Math.max(quota.limit, 1);
}
