import { periodAt } from '../domain/time/calendar.ts';
import type { PeriodSpan } from '../domain/time/calendar.ts';
import type { Policy } from '../domain/policy.ts';
import { consumedIn, zoneOf } from '../domain/quota.ts';
import type { Quota } from '../domain/quota.ts';
import type { TenantRecord } from '../domain/tenant.ts';
import type { TenantTotals } from '../domain/topics/totals.ts';
import { anonymousTenant } from '../domain/usage-event.ts';
import { quotasFor } from './quotas.ts';

/** One tenant's quota in one period, and what is known of its consumption. */
export interface QuotaReading {
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

/** What an announcement says about the tenant's quotas in the periods that hold `atMs`; nothing about other periods. */
export function readingsOf(
  totals: TenantTotals,
  policy: Policy,
  record: TenantRecord | null,
  atMs: number,
): QuotaReading[] {
  if (totals.tenant_id === anonymousTenant) return [];
  const readings: QuotaReading[] = [];
  for (const quota of quotasFor(policy, { plan: totals.plan, record, nowMs: atMs })) {
    const reading = openReading(totals.tenant_id, quota, record, atMs);
    const consumed = consumedIn(totals, quota, reading.span, reading.zone);
    if (consumed !== 'elsewhere') {
      readings.push({ ...reading, consumed: consumed === 'unknown' ? null : consumed });
    }
  }
  return readings;
}

/** A quota in the period that holds `atMs`, its consumption not known yet. */
export function openReading(
  tenantId: string,
  quota: Quota,
  record: TenantRecord | null,
  atMs: number,
): QuotaReading {
  const zone = zoneOf(record);
  const span = periodAt(quota.period, zone, atMs);
  const resetAtMs = record?.reset?.at_ms ?? 0;
  return {
    tenantId,
    quota,
    span,
    zone,
    consumed: null,
    resetAtMs: resetAtMs > span.startMs && resetAtMs < span.endMs ? resetAtMs : null,
  };
}
