import { periodAt } from '../../../shared/domain/calendar.ts';
import type { Policy } from '../../../shared/domain/policy.ts';
import type { TenantRecord } from '../../../shared/domain/tenant.ts';
import type { Logger } from '../../../shared/runtime/logger.ts';
import type { Clock } from '../../../shared/runtime/clock.ts';
import type { Limiter } from '../../../shared/redis/limiter.ts';
import { done, refused } from '../problem.ts';
import type { Outcome } from '../problem.ts';
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
  all(actor: string): Promise<{ readonly tenants: number }>;
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

  async function all(actor: string): Promise<{ readonly tenants: number }> {
    const nowMs = clock.now();
    const monthStart = Date.UTC(new Date(nowMs).getUTCFullYear(), new Date(nowMs).getUTCMonth(), 1);
    const active = await usage.heaviest(monthStart, tenantsMax);
    logger.warn(
      { audit: true, actor, action: 'reset-all', tenants: active.length },
      'emergency reset begins',
    );
    for (const { tenant_id: tenantId } of active) {
      const { day, month } = await usage.totals(tenantId, records.of(tenantId).time_zone ?? 'UTC', nowMs);
      await records.change(tenantId, actor, (record) =>
        done({
          record: {
            ...record,
            reset: { at_ms: nowMs, actor, day_units: day.consumed ?? 0, month_units: month.consumed ?? 0 },
          },
          action: 'reset',
          detail: 'Counters reset with those of all tenants',
        }),
      );
    }
    await limiter.resetAll();
    logger.warn({ audit: true, actor, action: 'reset-all', tenants: active.length }, 'emergency reset done');
    return { tenants: active.length };
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
