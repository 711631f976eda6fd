import { createPeriodCache } from '../../redis/decision/periods.ts';
import type { Window } from '../../redis/decision/windows.ts';
import { createSlidingWindow } from '../../redis/fallback/local-window.ts';
import type { LocalWindow, WindowRules } from '../../redis/fallback/local-window.ts';
import { QuotaCounter } from './quota-counter.ts';

/**
 * The counter of one limit for one subject. Times are in whole milliseconds, rounded as Redis does: `nowMs` down, `storedAtMs` up.
 */
export interface Counter {
  hasRoom(cost: number, nowMs: number): boolean;
  /** Charges the units, also if there is no room. Returns the time with which they are counted: `storedAtMs` or later. */
  charge(cost: number, nowMs: number, storedAtMs: number): number;
  /** Returns units that were counted at `atMs`. */
  returnUnits(cost: number, atMs: number): void;
  /** Returns the oldest units, as units are given back after a response. */
  returnOldest(cost: number, nowMs: number): void;
}

interface KeptCounter extends Counter {
  /** Whether the counter has no effect on decisions from `nowMs` on. */
  isOver(nowMs: number): boolean;
  /** Entries in memory. */
  size(nowMs: number): number;
}

/** The counters of all subjects in the memory of this process. */
export class Counters {
  readonly #periods = createPeriodCache();
  readonly #rules = new WeakMap<Window, WindowRules>();
  readonly #bySubject = new Map<string, Map<string, KeptCounter>>();
  readonly #entriesMax: number;
  #merges = false;

  /** Above `entriesMax` entries, new entries of small limits are merged as those of large limits are. */
  constructor(entriesMax: number) {
    this.#entriesMax = entriesMax;
  }

  /** Whether entries were merged, so that small limits may refuse up to 1/64 of their window too long. */
  get isMerged(): boolean {
    return this.#merges;
  }

  /**
   * Returns the counter of a window for a subject. `carried`: the window of the units that are carried over into this one.
   * A counter belongs to its field, not to its limit, so it stays when the limit of the tenant changes.
   */
  counterOf(subjectKey: string, window: Window, carried: Window | null, calendar: string): Counter {
    let counters = this.#bySubject.get(subjectKey);
    if (counters === undefined) this.#bySubject.set(subjectKey, (counters = new Map<string, KeptCounter>()));
    const existing = counters.get(window.field);
    if (existing instanceof QuotaKept) existing.apply(window, carried, calendar);
    else if (existing instanceof SlidingKept) existing.rules = this.#rulesOf(window);
    if (existing !== undefined) return existing;
    const created =
      window.period === null
        ? new SlidingKept(this.#rulesOf(window))
        : new QuotaKept(this.#periods, window, carried, calendar);
    counters.set(window.field, created);
    return created;
  }

  /** Deletes the counters that have no effect any more. */
  sweep(nowMs: number): void {
    let entries = 0;
    for (const [key, counters] of this.#bySubject) {
      for (const [field, counter] of counters) {
        if (counter.isOver(nowMs)) counters.delete(field);
        else entries += counter.size(nowMs);
      }
      if (counters.size === 0) this.#bySubject.delete(key);
    }
    this.#merges ||= entries > this.#entriesMax;
  }

  #rulesOf(window: Window): WindowRules {
    let rules = this.#rules.get(window);
    if (rules === undefined) {
      const { units, burst, spanMs, grainMs } = window;
      rules = { units, burst, spanMs, grainMs, periods: null, nodes: 1 };
      this.#rules.set(window, rules);
    }
    if (!this.#merges || rules.grainMs > 0) return rules;
    return { ...rules, grainMs: Math.floor(rules.spanMs / 64) };
  }
}

/** A sliding window that rounds times as Redis does. */
class SlidingKept implements KeptCounter {
  readonly #window: LocalWindow = createSlidingWindow(1);
  #lastMs = 0;
  rules: WindowRules;

  constructor(rules: WindowRules) {
    this.rules = rules;
  }

  hasRoom(cost: number, nowMs: number): boolean {
    return this.#window.hasRoom(this.rules, cost, nowMs);
  }

  charge(cost: number, nowMs: number, storedAtMs: number): number {
    this.#lastMs = this.#window.charge(this.rules, cost, nowMs, storedAtMs);
    return this.#lastMs;
  }

  returnUnits(cost: number, atMs: number): void {
    this.#window.returnUnsent(cost, atMs);
  }

  returnOldest(cost: number, nowMs: number): void {
    if (this.#window.size(this.rules.spanMs, nowMs) > 0) this.#window.returnOldest(cost);
  }

  isOver(nowMs: number): boolean {
    const { spanMs, burst } = this.rules;
    return nowMs >= this.#lastMs + (burst > 0 ? 10 * spanMs : spanMs);
  }

  size(nowMs: number): number {
    return this.#window.size(this.rules.spanMs, nowMs);
  }
}

class QuotaKept implements KeptCounter {
  readonly #quota = new QuotaCounter();
  readonly #periods: ReturnType<typeof createPeriodCache>;
  #window: Window;
  #carried: Window | null;
  #calendar: string;

  constructor(
    periods: ReturnType<typeof createPeriodCache>,
    window: Window,
    carried: Window | null,
    calendar: string,
  ) {
    this.#periods = periods;
    this.#window = window;
    this.#carried = carried;
    this.#calendar = calendar;
  }

  apply(window: Window, carried: Window | null, calendar: string): void {
    this.#window = window;
    this.#carried = carried;
    this.#calendar = calendar;
  }

  hasRoom(cost: number, nowMs: number): boolean {
    this.#advance(nowMs);
    const carried =
      this.#carried === null ? 0 : this.#quota.carried(this.#carried.units, this.#carried.burst);
    return this.#quota.used + cost <= this.#window.units + carried;
  }

  charge(cost: number, nowMs: number): number {
    this.#advance(nowMs);
    this.#quota.charge(cost);
    return nowMs;
  }

  returnUnits(cost: number, atMs: number): void {
    this.#quota.returnUnits(cost, atMs);
  }

  returnOldest(cost: number, nowMs: number): void {
    this.#advance(nowMs);
    this.#quota.returnUnits(cost, nowMs);
  }

  isOver(nowMs: number): boolean {
    return this.#quota.isOver(nowMs);
  }

  size(): number {
    return 1;
  }

  #advance(nowMs: number): void {
    const { period } = this.#window;
    if (period !== null) this.#quota.advance(this.#periods.around(period, this.#calendar, nowMs), nowMs);
  }
}
