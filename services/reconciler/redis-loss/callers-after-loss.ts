import { setTimeout as wait } from 'node:timers/promises';
import { completeThrough } from '../../../shared/clickhouse/queries/usage.ts';
import type { ClickHouse } from '../../../shared/clickhouse/client.ts';
import type { Clock } from '../../../shared/runtime/time/clock.ts';
import type { Logger } from '../../../shared/runtime/logger.ts';
import { createOutageLog } from '../../../shared/runtime/outage-log.ts';
import type { CallerRestorer } from '../restore/caller-restorer.ts';
import type { TenantReadingsQuery } from '../restore/tenant-readings.ts';

/**
 * Restores the quota counters of users and addresses after Redis lost its data. Announcements of totals cannot restore them,
 * because they name tenants only.
 */
export interface CallersAfterLoss {
  /**
   * Raises all of these counters to the units that ClickHouse counts, and resolves with the number of compared counters. It then
   * repeats the comparison in the background, so that events in flight are counted: each second until ClickHouse has all events
   * from before the call, and a few times later, because the counter of a caller with constant traffic lacks the events in flight
   * after every comparison.
   */
  restore(): Promise<number>;
  close(): Promise<void>;
}

export interface CallersAfterLossOptions {
  readonly restoreCallers: CallerRestorer;
  readonly clickhouse: ClickHouse;
  readonly query: () => TenantReadingsQuery;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly repeatMs?: number;
  /** Pauses before the last comparisons, which begin when ClickHouse has all events from before the loss. */
  readonly laterMs?: readonly number[];
}

/**
 * Largest number of groups of callers that one comparison reads. It leaves out the callers with the least usage: their
 * usage is far below the limit, so their requests would pass anyway.
 */
const rowsMax = 500_000;
/**
 * After a loss, comparisons run each second for at most this time. An event that arrives even later has waited in a gateway's
 * spool because Kafka was unavailable, and an alert reports that.
 */
const followMsMax = 60_000;
const laterMsDefault = [10_000, 60_000, 600_000, 3_600_000];

export function createCallersAfterLoss(options: CallersAfterLossOptions): CallersAfterLoss {
  const { clickhouse, query, clock, logger } = options;
  const { repeatMs = 1_000, laterMs = laterMsDefault } = options;
  const outage = createOutageLog(logger);
  const closing = new AbortController();
  let following: Promise<void> = Promise.resolve();
  let round = 0;

  return {
    async restore() {
      const lostAtMs = clock.now();
      const counters = await compareAll(lostAtMs);
      round += 1;
      if (counters > 0) following = follow(round, lostAtMs);
      return counters;
    },
    close: async () => {
      closing.abort();
      await following;
    },
  };

  function compareAll(lostAtMs: number): Promise<number> {
    return options.restoreCallers({ ...query(), reservedSinceMs: lostAtMs, rowsMax });
  }

  /**
   * A failed comparison is not retried: the next comparison covers the same events. If the process dies here, events in
   * flight stay uncounted.
   */
  async function follow(ownRound: number, lostAtMs: number): Promise<void> {
    let isComplete = false;
    while (!isComplete && clock.now() < lostAtMs + followMsMax)
      isComplete = await compareAfter(repeatMs, ownRound, lostAtMs);
    for (const pauseMs of laterMs) await compareAfter(pauseMs, ownRound, lostAtMs);
  }

  /** Returns true when all events from before the loss are counted, or when a newer loss has started its own comparisons. */
  async function compareAfter(pauseMs: number, ownRound: number, lostAtMs: number): Promise<boolean> {
    const isOver = (): boolean => closing.signal.aborted || ownRound !== round;
    if (isOver()) return true;
    await wait(pauseMs, undefined, { signal: closing.signal }).catch(() => undefined);
    if (isOver()) return true;
    try {
      const through = await completeThrough(clickhouse);
      await compareAll(lostAtMs);
      outage.worked();
      return through !== null && Date.parse(through) > lostAtMs;
    } catch (error) {
      outage.failed(error, 'quotas of users and addresses could not be compared again');
      return false;
    }
  }
}
