import { periodAt } from '../../shared/domain/calendar.ts';
import type { PeriodSpan } from '../../shared/domain/calendar.ts';
import type { Policy } from '../../shared/domain/policy.ts';
import { consumedIn, zoneOf } from '../../shared/domain/quota.ts';
import type { Quota } from '../../shared/domain/quota.ts';
import type { TenantRecord } from '../../shared/domain/tenant.ts';
import type { TenantTotals } from '../../shared/domain/totals.ts';
import { anonymousTenant } from '../../shared/domain/usage-event.ts';
import { quotasFor } from '../../shared/policy/quotas.ts';

/** One counter to be compared with the truth. */
export interface Heal {
  readonly tenantId: string;
  readonly quota: Quota;
  readonly span: PeriodSpan;
  /** IANA zone of the span; null for UTC. */
  readonly zone: string | null;
  /** Units consumed in the span; null: ask ClickHouse. */
  readonly consumed: number | null;
  /** Unix ms of a reset within the span, from which counting began anew; null for none. */
  readonly resetAtMs: number | null;
}

/** The counters an announcement has something to say about, now. An announcement of a former period says nothing. */
export function healsOf(
  totals: TenantTotals,
  policy: Policy,
  record: TenantRecord | null,
  nowMs: number,
): Heal[] {
  if (totals.tenant_id === anonymousTenant) return [];
  const heals: Heal[] = [];
  for (const quota of quotasFor(policy, { plan: totals.plan, record, nowMs })) {
    const heal = healOf(totals.tenant_id, quota, record, nowMs);
    const consumed = consumedIn(totals, quota, heal.span, heal.zone);
    if (consumed !== 'elsewhere') heals.push({ ...heal, consumed: consumed === 'unknown' ? null : consumed });
  }
  return heals;
}

/** The counter of a quota in the period that holds `nowMs`, its truth not known yet. */
export function healOf(tenantId: string, quota: Quota, record: TenantRecord | null, nowMs: number): Heal {
  const zone = zoneOf(record);
  const span = periodAt(quota.period, zone, nowMs);
  const resetAtMs = record?.reset?.at_ms ?? 0;
  return {
    tenantId,
    quota,
    span,
    zone,
    consumed: null,
    resetAtMs: resetAtMs > span.startMs ? resetAtMs : null,
  };
}
