import { setTimeout as wait } from 'node:timers/promises';
import { Counter } from 'prom-client';
import { completeThrough } from '../../shared/clickhouse/usage.ts';
import type { ClickHouse } from '../../shared/clickhouse/client.ts';
import type { Clock } from '../../shared/runtime/clock.ts';
import type { Limiter } from '../../shared/redis/limiter.ts';
import { TollgateError } from '../../shared/runtime/errors.ts';
import type { Logger } from '../../shared/runtime/logger.ts';
import type { Registry } from '../../shared/runtime/ops.ts';
import { callerReadingsOfAll } from './caller-readings.ts';
import type { CallerReading } from './caller-readings.ts';
import type { RebuildQuestion } from './rebuild.ts';

/** Quota counters of users and addresses, which no announcement of totals speaks of. */
export interface CallerHealer {
  /**
   * Raises all of them to what ClickHouse counts, and resolves with the counters looked at. Events that were on their way
   * then follow by themselves: the same is done each second until everything from before the call is stored, and a few
   * times later, since the counter of a caller that never pauses lacks as much as is on its way for as long as it asks.
   */
  heal(): Promise<number>;
  close(): Promise<void>;
}

export interface CallerHealerOptions {
  readonly limiter: Limiter;
  readonly clickhouse: ClickHouse;
  readonly question: () => RebuildQuestion;
  readonly clock: Clock;
  readonly registry: Registry;
  readonly logger: Logger;
  readonly againMs?: number;
  /** Pauses before the later comparisons. */
  readonly laterMs?: readonly number[];
}

/** Above this the callers that used least are left out: a counter that is far from its limit lets nobody through. */
const rowsMax = 500_000;
const raisesMax = 200;
/** What has not arrived by then is in a spool that waits for Kafka, which has an alert of its own. */
const followMsMax = 60_000;
const laterMsDefault = [10_000, 60_000, 600_000, 3_600_000];

export function createCallerHealer(options: CallerHealerOptions): CallerHealer {
  const { limiter, clickhouse, question, clock, registry, logger } = options;
  const { againMs = 1_000, laterMs = laterMsDefault } = options;
  const raised = new Counter({
    name: 'tollgate_caller_quotas_raised_total',
    help: 'Quota counters of users and addresses that were raised after a loss because ClickHouse knew of more.',
    registers: [registry],
  });
  const truncated = new Counter({
    name: 'tollgate_caller_rebuilds_truncated_total',
    help: 'Rebuilds that left out the users and addresses that used least, because there were too many to read at once.',
    registers: [registry],
  });
  const closing = new AbortController();
  let following: Promise<void> = Promise.resolve();
  let round = 0;

  return {
    async heal() {
      const lostAtMs = clock.now();
      const counters = await raiseAll();
      round += 1;
      if (counters > 0) following = follow(round, lostAtMs);
      return counters;
    },
    close: async () => {
      closing.abort();
      await following;
    },
  };

  async function raiseAll(): Promise<number> {
    const { readings, cut } = await callerReadingsOfAll(question(), rowsMax);
    if (cut) truncated.inc();
    for (let from = 0; from < readings.length; from += raisesMax) {
      await Promise.all(readings.slice(from, from + raisesMax).map(raise));
    }
    return readings.length;
  }

  async function raise(reading: CallerReading): Promise<void> {
    const { caller, quota, span, zone, consumed, sinceReset } = reading;
    if (consumed === null || sinceReset === null) {
      logger.error(
        { tenant_id: caller.tenantId, quota: quota.name },
        'a quota could not be restored: the stored units add up to no number',
      );
      return;
    }
    try {
      const { before, after } = await limiter.raiseQuota(
        caller.tenantId ?? '',
        quota,
        span.startMs,
        consumed,
        {
          caller,
          leastBaseline: Math.max(0, consumed - sinceReset),
          ...(zone === null ? {} : { timeZone: zone }),
        },
      );
      if (after > before) raised.inc();
    } catch (error) {
      // One caller's total that no counter holds must not keep the others' from being restored.
      if (!(error instanceof TollgateError) || error.code !== 'REDIS_VALUE_REFUSED') throw error;
      logger.error(
        { tenant_id: caller.tenantId, quota: quota.name, err: error },
        'a quota could not be restored',
      );
    }
  }

  /** A round that fails is left to the next. A process that dies here leaves what was on its way uncounted. */
  async function follow(mine: number, lostAtMs: number): Promise<void> {
    let isComplete = false;
    while (!isComplete && clock.now() < lostAtMs + followMsMax)
      isComplete = await compareAfter(againMs, mine, lostAtMs);
    for (const pauseMs of laterMs) await compareAfter(pauseMs, mine, lostAtMs);
  }

  /** True when there is nothing left to wait for: all from before the loss is counted, or this follows an older loss. */
  async function compareAfter(pauseMs: number, mine: number, lostAtMs: number): Promise<boolean> {
    const isOver = (): boolean => closing.signal.aborted || mine !== round;
    if (isOver()) return true;
    await wait(pauseMs, undefined, { signal: closing.signal }).catch(() => undefined);
    if (isOver()) return true;
    try {
      const through = await completeThrough(clickhouse);
      await raiseAll();
      return through !== null && Date.parse(through) > lostAtMs;
    } catch (error) {
      logger.warn({ err: error }, 'quotas of users and addresses could not be compared again');
      return false;
    }
  }
}
