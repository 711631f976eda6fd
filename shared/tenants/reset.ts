import { problemOfTenantId } from '../domain/identity.ts';
import type { Policy } from '../domain/policy.ts';
import type { TenantRecord } from '../domain/tenant.ts';
import { calendarOf } from '../domain/quota.ts';
import { periodAt } from '../domain/time/calendar.ts';
import { authorFields } from '../domain/topics/audit-entry.ts';
import type { Author } from '../domain/topics/audit-entry.ts';
import type { AuditLog } from '../kafka/audit-log.ts';
import type { Limiter } from '../redis/decision/limiter.ts';
import type { Logger } from '../runtime/logger.ts';
import type { Clock } from '../runtime/time/clock.ts';
import { unitsUsed } from './limits.ts';
import { readLiveUsage } from './live-usage.ts';
import type { LiveUsage } from './live-usage.ts';
import { rejection, success } from './outcome.ts';
import type { ChangeRejection, Outcome } from './outcome.ts';
import type { TenantRecords } from './records.ts';
import type { UsageReader } from './usage-reader.ts';
import { counted } from '../domain/text/counted.ts';

export interface ResetOptions {
  readonly records: TenantRecords;
  readonly audit: Pick<AuditLog, 'append'>;
  readonly limiter: Pick<Limiter, 'check' | 'reset' | 'resetAll'>;
  readonly usage: UsageReader;
  readonly policy: () => Policy;
  readonly clock: Clock;
  readonly logger: Logger;
}

export interface Resets {
  tenant(tenantId: string, author: Author | string, reason: string): Promise<Outcome<TenantRecord>>;
  /** Emergency reset: empties the counters of all tenants. Stores a baseline for tenants that have usage this month. */
  all(author: Author | string, reason?: string): Promise<Outcome<{ readonly tenants: number }>>;
  /** Number of tenants for which an emergency reset stores a baseline. */
  countAffected(): Promise<number>;
}

/** 31 days and the hour that the clocks may be set back. */
const longestMonthMs = 31 * 86_400_000 + 3_600_000;
/** Maximum number of tenants whose baseline an emergency reset stores. */
const tenantsMax = 100_000;

/**
 * Resets counters to 0. First it stores in the tenant's record how many units the day and the month had counted (the
 * baseline). ClickHouse still contains these units, and without the baseline the reconciler would restore them to the
 * counters. If a crash happens between the two steps, the record says that a reset took place, but the counters are
 * unchanged. The operator then repeats the reset.
 */
export function createResets({
  records,
  audit,
  limiter,
  usage,
  policy,
  clock,
  logger,
}: ResetOptions): Resets {
  return { tenant, all, countAffected: async () => (await readActive(clock.now())).length };

  async function tenant(
    tenantId: string,
    author: Author | string,
    reason: string,
  ): Promise<Outcome<TenantRecord>> {
    const nowMs = clock.now();
    const before = records.of(tenantId);
    const live = await readLiveUsage(limiter, policy(), before, tenantId, null, nowMs);
    if (live === null) return redisUnavailable;
    const { day, month } = await usage.totals(tenantId, calendarOf(before), nowMs);
    const counted = baseline(before, live, { day: day.consumed ?? 0, month: month.consumed ?? 0 }, nowMs);
    const outcome = await records.change(tenantId, author, (record) =>
      success({
        record: { ...record, reset: { at_ms: nowMs, actor: authorFields(author).actor, ...counted } },
        action: 'reset',
        detail:
          `Counters reset; units of the day: ${counted.day_units}, of the month: ${counted.month_units}. ${reason}`.trim(),
        reason,
      }),
    );
    if (outcome.ok) await limiter.reset(tenantId);
    return outcome;
  }

  /**
   * Writes the records of all tenants, then empties the counters. If a record cannot be written, no counter is
   * changed.
   */
  async function all(author: Author | string, reason = ''): Promise<Outcome<{ readonly tenants: number }>> {
    const nowMs = clock.now();
    const active = await readActive(nowMs);
    const [first] = active;
    if (
      first !== undefined &&
      (await readLiveUsage(limiter, policy(), records.of(first), first, null, nowMs)) === null
    )
      return redisUnavailable;
    await audit.append({
      ...authorFields(author),
      action: 'reset-all',
      detail: `Counters of all tenants reset; ${active.length} had usage this month`,
      reason,
    });
    for (const [written, tenantId] of active.entries()) {
      const outcome = await recordReset(tenantId, author, reason, nowMs);
      if (!outcome.ok) return incompleteReset(outcome, written, active.length);
    }
    await limiter.resetAll();
    logger.warn({ audit: true, action: 'reset-all', tenants: active.length }, 'emergency reset done');
    return success({ tenants: active.length });
  }

  /** Ids of the tenants with usage in the last month. */
  async function readActive(nowMs: number): Promise<readonly string[]> {
    // The current month of a tenant may have begun on any day, depending on its calendar.
    const heaviest = await usage.heaviest(nowMs - longestMonthMs, tenantsMax);
    // A tenant id that was accepted under earlier rules but is invalid now cannot have a record. Its counters are
    // never restored, so it needs no baseline.
    return heaviest
      .map(({ tenant_id: tenantId }) => tenantId)
      .filter((tenantId) => problemOfTenantId(tenantId) === null);
  }

  async function recordReset(
    tenantId: string,
    author: Author | string,
    reason: string,
    nowMs: number,
  ): Promise<Outcome<TenantRecord>> {
    const { day, month } = await usage.totals(tenantId, calendarOf(records.of(tenantId)), nowMs);
    const counted = { day_units: day.consumed ?? 0, month_units: month.consumed ?? 0 };
    return records.change(tenantId, author, (record) =>
      success({
        record: { ...record, reset: { at_ms: nowMs, actor: authorFields(author).actor, ...counted } },
        action: 'reset',
        detail: `Counters reset with those of all tenants. ${reason}`.trim(),
        reason,
      }),
    );
  }

  function incompleteReset(cause: ChangeRejection, written: number, of: number): ChangeRejection {
    logger.warn({ audit: true, action: 'reset-all', written, of }, 'emergency reset refused');
    const progress = `${written} of ${counted(of, 'tenant')} had been recorded as reset; no counter was reset. Repeat it then.`;
    return { ...cause, title: 'Not reset', detail: `${cause.detail} ${progress}` };
  }
}

const redisUnavailable = rejection(
  503,
  'Not reset',
  'Redis does not answer, so nothing was reset. Gateways decide by themselves until it is back; try again then.',
);

/**
 * Units that each period had counted. Redis has counted events that are not yet in ClickHouse. Therefore the result
 * is the larger of two figures: the total in ClickHouse, and the quota's counter plus the units that an earlier reset
 * in the same period removed.
 */
export function baseline(
  record: TenantRecord,
  live: Pick<LiveUsage, 'states'>,
  stored: { readonly day: number; readonly month: number },
  nowMs: number,
): { readonly day_units: number; readonly month_units: number } {
  const unitsOf = (period: 'day' | 'month', storedUnits: number): number => {
    const { startMs } = periodAt(period, calendarOf(record), nowMs);
    const earlier =
      record.reset !== undefined && record.reset.at_ms >= startMs ? record.reset[`${period}_units`] : 0;
    const counters = live.states
      .filter(({ held }) => held.limit.period === period && held.limit.route === null)
      .map(({ state }) => earlier + unitsUsed(state));
    return Math.max(storedUnits, ...counters);
  };
  return { day_units: unitsOf('day', stored.day), month_units: unitsOf('month', stored.month) };
}
