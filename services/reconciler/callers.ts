import { setTimeout as wait } from 'node:timers/promises';
import { completeThrough } from '../../shared/clickhouse/queries/usage.ts';
import type { ClickHouse } from '../../shared/clickhouse/client.ts';
import type { Clock } from '../../shared/runtime/time/clock.ts';
import type { Logger } from '../../shared/runtime/logger.ts';
import { createOutageLog } from '../../shared/runtime/outage-log.ts';
import type { CallerRaiser } from './caller-raiser.ts';
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
  readonly raise: CallerRaiser;
  readonly clickhouse: ClickHouse;
  readonly question: () => RebuildQuestion;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly againMs?: number;
  /** Pauses before the later comparisons. */
  readonly laterMs?: readonly number[];
}

/** Above this the callers that used least are left out: a counter that is far from its limit lets nobody through. */
const rowsMax = 500_000;
/** What has not arrived by then is in a spool that waits for Kafka, which has an alert of its own. */
const followMsMax = 60_000;
const laterMsDefault = [10_000, 60_000, 600_000, 3_600_000];

export function createCallerHealer(options: CallerHealerOptions): CallerHealer {
  const { clickhouse, question, clock, logger } = options;
  const { againMs = 1_000, laterMs = laterMsDefault } = options;
  const outage = createOutageLog(logger);
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

  function raiseAll(): Promise<number> {
    return options.raise({ ...question(), rowsMax });
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
      outage.worked();
      return through !== null && Date.parse(through) > lostAtMs;
    } catch (error) {
      outage.failed(error, 'quotas of users and addresses could not be compared again');
      return false;
    }
  }
}
