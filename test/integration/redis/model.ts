import { periodAt } from '../../../shared/domain/time/calendar.ts';
import type { Limit } from '../../../shared/domain/limit.ts';

interface Admitted {
  readonly atMs: number;
  readonly units: number;
}

/**
 * One window by its definition: a plain list of all admitted units, and a burst pool that is filled millisecond by millisecond.
 * Shares no code with the implementation.
 */
export class WindowModel {
  readonly limit: Limit;
  admitted: Admitted[] = [];
  /** The burst pool in units multiplied by ten windows, so that the refill of one millisecond is an integer. */
  pool: number;
  poolAtMs: number;

  constructor(limit: Limit, nowMs: number) {
    this.limit = limit;
    this.pool = limit.burst * limit.windowMs * 10;
    this.poolAtMs = nowMs;
  }

  used(nowMs: number): number {
    const startMs =
      this.limit.type === 'quota'
        ? periodAt(this.limit.period ?? 'day', null, nowMs).startMs
        : nowMs - this.limit.windowMs + 1;
    return this.admitted
      .filter(({ atMs }) => atMs >= startMs && atMs <= nowMs)
      .reduce((sum, { units }) => sum + units, 0);
  }

  hasRoom(cost: number, nowMs: number): boolean {
    const over = this.used(nowMs) + cost - this.limit.limit;
    if (over <= 0) return true;
    if (over > this.limit.burst) return false;
    return this.poolAt(nowMs) >= Math.min(over, cost) * this.limit.windowMs * 10;
  }

  charge(cost: number, nowMs: number): void {
    const over = Math.max(0, this.used(nowMs) + cost - this.limit.limit);
    this.pool = this.poolAt(nowMs) - Math.min(over, cost) * this.limit.windowMs * 10;
    this.poolAtMs = nowMs;
    this.admitted.push({ atMs: nowMs, units: cost });
  }

  remaining(nowMs: number): number {
    return Math.max(0, this.limit.limit - this.used(nowMs));
  }

  resetAtMs(nowMs: number): number {
    if (this.limit.type === 'quota') return periodAt(this.limit.period ?? 'day', null, nowMs).endMs;
    for (let at = nowMs; ; at += 1) if (this.used(at) === 0) return at;
  }

  /**
   * Returns the milliseconds until the check fits, by trying each millisecond. Returns null if it does not fit within
   * eleven windows: by then the pool is full and the window is empty.
   */
  retryAfterMs(cost: number, nowMs: number): number | null {
    if (cost > this.limit.limit + this.limit.burst) return null;
    if (this.limit.type === 'quota') return this.resetAtMs(nowMs) - nowMs;
    for (let wait = 1; wait <= this.limit.windowMs * 11 + 1; wait += 1) {
      if (this.hasRoom(cost, nowMs + wait)) return wait;
    }
    return null;
  }

  private poolAt(nowMs: number): number {
    const full = this.limit.burst * this.limit.windowMs * 10;
    let level = this.pool;
    for (let at = this.poolAtMs; at < nowMs && level < full; at += 1) level += this.limit.burst;
    return Math.min(full, level);
  }
}

/** The largest number of units that were admitted in any span of `windowMs`. */
export function mostInAnySpan(admitted: readonly Admitted[], windowMs: number): number {
  let most = 0;
  for (const { atMs } of admitted) {
    const units = admitted
      .filter((entry) => entry.atMs >= atMs && entry.atMs < atMs + windowMs)
      .reduce((sum, entry) => sum + entry.units, 0);
    most = Math.max(most, units);
  }
  return most;
}
