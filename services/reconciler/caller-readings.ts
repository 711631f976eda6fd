import { addAmounts } from '../../shared/domain/amount.ts';
import type { Amount } from '../../shared/domain/amount.ts';
import { periodAt } from '../../shared/domain/time/calendar.ts';
import type { PeriodSpan } from '../../shared/domain/time/calendar.ts';
import type { CalendarPeriod, Limit } from '../../shared/domain/limit.ts';
import { isQuota, isTenantQuota, zoneOf } from '../../shared/domain/quota.ts';
import type { Quota } from '../../shared/domain/quota.ts';
import type { TenantRecord } from '../../shared/domain/tenant.ts';
import { anonymousTenant } from '../../shared/domain/usage-event.ts';
import { readConsumedByCaller } from '../../shared/clickhouse/queries/consumed-by-caller.ts';
import type { CallerConsumed } from '../../shared/clickhouse/queries/consumed-by-caller.ts';
import { openReading } from '../../shared/policy/quota-readings.ts';
import { quotasFor } from '../../shared/policy/quotas.ts';
import { addressPart } from '../../shared/redis/keys.ts';
import type { Caller } from '../../shared/redis/decision/subjects.ts';
import { subjectKind } from '../../shared/redis/decision/windows.ts';
import type { SubjectKind } from '../../shared/redis/decision/windows.ts';
import { zonesOf } from './rebuild.ts';
import type { RebuildQuestion } from './rebuild.ts';

/** One quota counter of a user, an address or everybody, and what ClickHouse counts for it. */
export interface CallerReading {
  /** A caller whose check looks at this counter. */
  readonly caller: Caller;
  readonly quota: Quota;
  readonly span: PeriodSpan;
  readonly zone: string | null;
  readonly consumed: Amount;
  readonly sinceReset: Amount;
}

export interface CallerQuestion extends RebuildQuestion {
  /** More groups of callers than this are left out, those that used least. */
  readonly rowsMax: number;
  /** Reads only callers whose requests passed without Redis since then; absent: all. `tenantIds` are theirs. */
  readonly degradedSinceMs?: number;
}

type Counted = CallerReading & { consumed: Amount; sinceReset: Amount };

/**
 * Every such counter with units in a period that runs now. Nothing is read where the policy has no such quota. A counter
 * that tenants share (of an address, of everybody) has UTC's periods, and gathers tenants of UTC only.
 */
export async function callerReadingsOfAll(
  question: CallerQuestion,
): Promise<{ readings: CallerReading[]; cut: boolean }> {
  const { rowsMax } = question;
  const counters = new Map<string, Counted>();
  let cut = false;
  const read = async (period: CalendarPeriod, zone: string | null): Promise<void> => {
    const rows = await rowsOf(question, { period, zone });
    cut ||= rows.length >= rowsMax;
    for (const [tenantId, own] of Map.groupBy(rows, ({ tenant_id }) => tenant_id)) {
      const record = question.records.get(tenantId) ?? null;
      if (zoneOf(record) !== zone) continue;
      const afterReset = await rowsAfterReset(question, { tenantId, record, period, rowsMax });
      addTenant(counters, question, { period, record, rows: own, afterReset });
    }
  };
  for (const period of periodsOf(question)) {
    for (const zone of [null, ...zonesOf(question.records)]) await read(period, zone);
  }
  return { readings: [...counters.values()].toSorted((a, b) => shareOf(b) - shareOf(a)), cut };
}

function periodsOf({ policy }: RebuildQuestion): Set<CalendarPeriod> {
  const limits = [...policy.plans.values(), ...policy.routes].flatMap(({ limits: own }) => own);
  const quotas = [...limits, ...policy.platform].filter(isQuota);
  // A tenant's quota counts the address of callers without a tenant.
  return new Set(quotas.map(({ period }) => period));
}

async function rowsOf(
  { clickhouse, records, policy, nowMs, tenantIds, degradedSinceMs, rowsMax }: CallerQuestion,
  { period, zone }: { period: CalendarPeriod; zone: string | null },
): Promise<CallerConsumed[]> {
  const limits = [...policy.plans.values(), ...policy.routes].flatMap(({ limits: own }) => own);
  const ofCallers = [...limits, ...policy.platform].filter(isCallerQuota);
  const inZone = [...records.values()].filter((record) => zoneOf(record) === zone);
  // An address that tenants share, and everybody's counter, gather more tenants than those of the question.
  const isShared = ofCallers.some(({ per }) => !per.includes('tenant') && !per.includes('user'));
  const asked = tenantIds === undefined || isShared ? null : [...tenantIds];
  const everybody = zone === null ? asked : inZone.map(({ tenant_id }) => tenant_id);
  if (everybody?.length === 0) return [];
  if (ofCallers.length === 0 && tenantIds?.has(anonymousTenant) === false) return [];
  const isEverybodys = ofCallers.some(({ per }) => per.every((part) => part === 'global'));
  return readConsumedByCaller(clickhouse, {
    fromMs: periodAt(period, zone, nowMs).startMs,
    // Where only tenants have quotas those without one are all that is left to be counted by address.
    tenantIds: ofCallers.length === 0 ? [anonymousTenant] : everybody,
    degradedSinceMs: isEverybodys ? null : (degradedSinceMs ?? null),
    byAddress: ofCallers.some(({ per }) => per.includes('ip')),
    rowsMax,
  });
}

function isCallerQuota(limit: Limit): limit is Quota {
  return isQuota(limit) && !isTenantQuota(limit);
}

/** What the tenant's callers consumed since a reset within the period; null where there was none. */
async function rowsAfterReset(
  { clickhouse, nowMs }: RebuildQuestion,
  asked: { tenantId: string; record: TenantRecord | null; period: CalendarPeriod; rowsMax: number },
): Promise<CallerConsumed[] | null> {
  const { tenantId, record, period, rowsMax } = asked;
  const fromMs = record?.reset?.at_ms;
  if (fromMs === undefined || fromMs <= periodAt(period, zoneOf(record), nowMs).startMs) return null;
  return readConsumedByCaller(clickhouse, {
    ...{ fromMs, tenantIds: [tenantId], degradedSinceMs: null, byAddress: true, rowsMax },
  });
}

interface TenantRows {
  readonly period: CalendarPeriod;
  readonly record: TenantRecord | null;
  readonly rows: readonly CallerConsumed[];
  readonly afterReset: readonly CallerConsumed[] | null;
}

function addTenant(
  counters: Map<string, Counted>,
  question: RebuildQuestion,
  { period, record, rows, afterReset }: TenantRows,
): void {
  const quotas = [...quotasOf(rows, question, record)].filter((quota) => quota.period === period);
  const add = (row: CallerConsumed, field: 'consumed' | 'sinceReset'): void => {
    for (const quota of quotas) {
      if (quota.route !== null && quota.route !== row.route) continue;
      const counter = counterOf(counters, question, { row, quota, record });
      if (counter !== null) counter[field] = addAmounts(counter[field], row.units);
    }
  };
  for (const row of rows) {
    add(row, 'consumed');
    if (afterReset === null) add(row, 'sinceReset');
  }
  for (const row of afterReset ?? []) add(row, 'sinceReset');
}

/** As in a check: a window belongs to what it counts, so plans share it. */
function quotasOf(
  rows: readonly CallerConsumed[],
  { policy, nowMs }: RebuildQuestion,
  record: TenantRecord | null,
): Iterable<Quota> {
  const counts = rows[0]?.tenant_id === anonymousTenant ? isQuota : isCallerQuota;
  const quotas = new Map<string, Quota>();
  for (const plan of new Set(rows.map(({ plan: own }) => own))) {
    for (const quota of quotasFor(policy, { plan, record, nowMs }, counts)) {
      quotas.set(JSON.stringify([quota.name, quota.per, quota.period, quota.route]), quota);
    }
  }
  return quotas.values();
}

function counterOf(
  counters: Map<string, Counted>,
  { nowMs }: RebuildQuestion,
  { row, quota, record }: { row: CallerConsumed; quota: Quota; record: TenantRecord | null },
): Counted | null {
  const caller = {
    tenantId: row.tenant_id === anonymousTenant ? null : row.tenant_id,
    userId: row.user_id === '' ? null : row.user_id,
    ip: row.client_ip,
  };
  const identity = identityOf(quota, caller);
  if (zoneOf(record) !== null && sharedKinds.has(identity[0])) return null;
  const key = JSON.stringify([quota.name, quota.period, quota.route, ...identity]);
  const known = counters.get(key);
  if (known !== undefined) return known;
  const { span, zone } = openReading(row.tenant_id, quota, record, nowMs);
  const counter: Counted = { caller, quota, span, zone, consumed: 0, sinceReset: 0 };
  counters.set(key, counter);
  return counter;
}

/** Counters that tenants of several zones may share. */
const sharedKinds: ReadonlySet<SubjectKind> = new Set(['address', 'global']);

/** Callers of one identity share the counter. */
function identityOf(quota: Quota, { tenantId, userId, ip }: Caller): [SubjectKind, ...(string | null)[]] {
  const kind = subjectKind(quota, tenantId !== null, userId !== null);
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
  }
}

function shareOf({ consumed, quota }: CallerReading): number {
  return (consumed ?? 0) / Math.max(quota.limit, 1);
}
