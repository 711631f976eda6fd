import { periodAt } from '../../../shared/domain/time/calendar.ts';
import { problemOfTenantId } from '../../../shared/domain/identity.ts';
import type { Policy } from '../../../shared/domain/policy.ts';
import type { TenantRecord } from '../../../shared/domain/tenant.ts';
import type { Logger } from '../../../shared/runtime/logger.ts';
import type { Clock } from '../../../shared/runtime/time/clock.ts';
import type { Limiter } from '../../../shared/redis/decision/limiter.ts';
import { done, refused } from '../problem.ts';
import type { Outcome, Refusal } from '../problem.ts';
import type { UsageReader } from '../usage-reader.ts';
import type { TenantRecords } from './records.ts';
import { liveUsage } from './status.ts';
import type { LiveUsage } from './status.ts';

export interface ResetOptions {
  readonly records: TenantRecords;
  readonly limiter: Limiter;
  readonly usage: UsageReader;
  readonly policy: () => Policy;
  readonly clock: Clock;
  readonly logger: Logger;
}

export interface Resets {
  tenant(tenantId: string, actor: string, reason: string): Promise<Outcome<TenantRecord>>;
  all(actor: string): Promise<Outcome<{ readonly tenants: number }>>;
}

/** Tenants with usage this month that an emergency reset stores a baseline for. */
const tenantsMax = 100_000;

/**
 * Empties counters. What the day and the month had counted by then goes into the tenant's record first: the usage log
 * still has those units, and without the record the reconciler would heal them right back into the counters.
 *
 * A crash between the record and the counters leaves a recorded reset that did not happen: the counters still stand,
 * and an operator who repeats the reset completes it.
 */
export function createResets({ records, limiter, usage, policy, clock, logger }: ResetOptions): Resets {
  return { tenant, all };

  async function tenant(tenantId: string, actor: string, reason: string): Promise<Outcome<TenantRecord>> {
    const nowMs = clock.now();
    const before = records.of(tenantId);
    const live = await liveUsage(limiter, policy(), before, tenantId, null, nowMs);
    if (live === null) return unreachable;
    const { day, month } = await usage.totals(tenantId, before.time_zone ?? 'UTC', nowMs);
    const counted = baseline(before, live, { day: day.consumed ?? 0, month: month.consumed ?? 0 }, nowMs);
    const outcome = await records.change(tenantId, actor, (record) =>
      done({
        record: { ...record, reset: { at_ms: nowMs, actor, ...counted } },
        action: 'reset',
        detail:
          `Counters reset; the day had ${counted.day_units} units, the month ${counted.month_units}. ${reason}`.trim(),
      }),
    );
    if (outcome.ok) await limiter.reset(tenantId);
    return outcome;
  }

  /** The records of all tenants first, then the counters: without all of the records no counter is touched. */
  async function all(actor: string): Promise<Outcome<{ readonly tenants: number }>> {
    const nowMs = clock.now();
    const monthStart = Date.UTC(new Date(nowMs).getUTCFullYear(), new Date(nowMs).getUTCMonth(), 1);
    const heaviest = await usage.heaviest(monthStart, tenantsMax);
    // Usage that was stored under other rules for ids has no record to heal from.
    const active = heaviest
      .map(({ tenant_id: tenantId }) => tenantId)
      .filter((tenantId) => problemOfTenantId(tenantId) === null);
    const [first] = active;
    if (
      first !== undefined &&
      (await liveUsage(limiter, policy(), records.of(first), first, null, nowMs)) === null
    )
      return unreachable;
    logger.warn(
      { audit: true, actor, action: 'reset-all', tenants: active.length },
      'emergency reset begins',
    );
    for (const [written, tenantId] of active.entries()) {
      const outcome = await recordReset(tenantId, actor, nowMs);
      if (!outcome.ok) return notAllRecorded(outcome, written, active.length);
    }
    await limiter.resetAll();
    logger.warn({ audit: true, actor, action: 'reset-all', tenants: active.length }, 'emergency reset done');
    return done({ tenants: active.length });
  }

  async function recordReset(tenantId: string, actor: string, nowMs: number): Promise<Outcome<TenantRecord>> {
    const { day, month } = await usage.totals(tenantId, records.of(tenantId).time_zone ?? 'UTC', nowMs);
    const counted = { day_units: day.consumed ?? 0, month_units: month.consumed ?? 0 };
    return records.change(tenantId, actor, (record) =>
      done({
        record: { ...record, reset: { at_ms: nowMs, actor, ...counted } },
        action: 'reset',
        detail: 'Counters reset with those of all tenants',
      }),
    );
  }

  function notAllRecorded(refusal: Refusal, written: number, of: number): Refusal {
    logger.warn({ audit: true, action: 'reset-all', written, of }, 'emergency reset refused');
    const rest = `${written} of ${of} tenants had been recorded as reset; no counter was reset. Repeat it then.`;
    return { ...refusal, title: 'Not reset', detail: `${refusal.detail} ${rest}` };
  }
}

const unreachable = refused(
  503,
  'Not reset',
  'Redis does not answer, so nothing was reset. Gateways decide by themselves until it is back; try again then.',
);

/**
 * Units each period had counted. Redis runs ahead of the usage log by what is still on its way, so a quota's own
 * counter, on top of what an earlier reset of the same period had taken out, counts where it is higher.
 */
export function baseline(
  record: TenantRecord,
  live: Pick<LiveUsage, 'states'>,
  logged: { readonly day: number; readonly month: number },
  nowMs: number,
): { readonly day_units: number; readonly month_units: number } {
  const counter = (period: 'day' | 'month', units: number): number => {
    const { startMs } = periodAt(period, record.time_zone ?? null, nowMs);
    const earlier =
      record.reset !== undefined && record.reset.at_ms >= startMs ? record.reset[`${period}_units`] : 0;
    const counts = live.states
      .filter(({ held }) => held.limit.period === period && held.limit.route === null)
      .map(({ state }) => earlier + Math.max(0, state.limit - state.remaining));
    return Math.max(units, ...counts);
  };
  return { day_units: counter('day', logged.day), month_units: counter('month', logged.month) };
}
