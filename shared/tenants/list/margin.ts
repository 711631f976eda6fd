import type { Money } from '../../domain/money.ts';
import type { PeriodSpan } from '../../domain/time/calendar.ts';

/** The first hour of a month is not extrapolated to the month. */
const elapsedMsMin = 3_600_000;

/** The cost of a period at the rate so far. */
export function projectedCost(cost: Money, { startMs, endMs }: PeriodSpan, nowMs: number): Money {
  const elapsedMs = Math.max(nowMs - startMs, elapsedMsMin);
  return (cost * BigInt(endMs - startMs)) / BigInt(Math.trunc(elapsedMs));
}
