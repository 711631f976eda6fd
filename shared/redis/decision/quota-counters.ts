import type { Limit } from '../../domain/limit.ts';
import { amountMax } from '../../domain/usage/quantity.ts';
import { TollgateError } from '../../runtime/errors.ts';
import type { Clock } from '../../runtime/time/clock.ts';
import { replyWithin } from '../client.ts';
import type { RedisClient } from '../client.ts';
import { readScript, runScript } from '../scripts.ts';
import { periodsAround } from './periods.ts';
import type { Caller, Subjects } from './subjects.ts';
import { carriedField, subjectKind, windowOf } from './windows.ts';

/** Raises quota counters to the usage that ClickHouse has. */
export interface QuotaCounters {
  /**
   * Sets `used = max(used, consumed - baseline)` in a quota counter, of requests or of another quantity in its smallest units.
   * Units that settlements have returned in the last minutes are subtracted from `consumed`, because totals follow settlements
   * with a delay. The counter is the tenant's own, or with `caller` the counter that a check of this caller reads. The baseline
   * is the usage before the last reset, and at least `leastBaseline`. Rejects with REDIS_VALUE_REFUSED and changes nothing if
   * `consumed` is too large for a counter.
   */
  raiseQuota(
    tenantId: string,
    limit: Limit,
    periodStartMs: number,
    consumed: number,
    options?: { leastBaseline?: number; calendar?: string | null; caller?: Caller },
  ): Promise<{ before: number; after: number }>;
  /**
   * Sets `used = max(used, consumed)` for the period before the one that begins at `periodStartMs`, of a tenant's quota with
   * carry-over. Rejects with REDIS_VALUE_REFUSED if `consumed` is too large for a counter.
   */
  raisePrevious(
    tenantId: string,
    limit: Limit,
    periodStartMs: number,
    consumed: number,
    options?: { calendar?: string | null },
  ): Promise<void>;
}

export interface QuotaCountersOptions {
  readonly redis: RedisClient;
  readonly subjects: Subjects;
  readonly redisTime: Clock | undefined;
  readonly epochMs: () => number;
  readonly timeoutMs: number;
}

const raisePreviousScript = readScript('clock', 'quota', 'raise-previous');
const raiseScript = readScript('clock', 'quota', 'raised', 'returned', 'raise-quota');

export function createQuotaCounters(options: QuotaCountersOptions): QuotaCounters {
  const { redis, subjects, redisTime, epochMs, timeoutMs } = options;
  return {
    raiseQuota: async (
      tenantId,
      limit,
      periodStartMs,
      consumed,
      { leastBaseline = 0, calendar = null, caller } = {},
    ) => {
      // A larger number would not fit into the bytes of the field.
      if (!(Math.abs(consumed) <= amountMax)) {
        throw new TollgateError('REDIS_VALUE_REFUSED', `a quota counter cannot hold ${consumed} units`);
      }
      const { before, start, finish } = periodsAround(
        limit.period ?? 'day',
        calendar ?? 'UTC',
        periodStartMs,
      );
      const period = [before, start, finish, Math.floor(consumed), Math.floor(leastBaseline)];
      const args = [redisTime?.now() ?? '', epochMs(), windowOf(limit).field, ...period];
      const subject = caller === undefined ? subjects.tenant(tenantId) : subjectOf(limit, caller);
      const keys = subject.owner === null ? [subject.key] : [subject.key, subject.owner.key];
      const reply = await replyWithin(runScript(redis, raiseScript, keys, args), timeoutMs);
      const [usedBefore = 0, usedAfter = 0] = reply as number[];
      return { before: usedBefore, after: usedAfter };
    },
    raisePrevious: async (tenantId, limit, periodStartMs, consumed, { calendar = null } = {}) => {
      if (!(Math.abs(consumed) <= amountMax))
        throw new TollgateError('REDIS_VALUE_REFUSED', `a quota counter cannot hold ${consumed} units`);
      const { before, finish } = periodsAround(limit.period ?? 'day', calendar ?? 'UTC', periodStartMs);
      const field = carriedField(windowOf(limit).field);
      const args = [redisTime?.now() ?? '', epochMs(), field, before, finish, Math.floor(consumed)];
      await replyWithin(
        runScript(redis, raisePreviousScript, [subjects.tenant(tenantId).key], args),
        timeoutMs,
      );
    },
  };

  function subjectOf(limit: Limit, caller: Caller): ReturnType<Subjects['tenant']> {
    return subjects.of(subjectKind(limit, caller.tenantId !== null, caller.userId !== null), caller);
  }
}
