import type { WindowOutcome } from '../decision/check.ts';
import type { Periods } from '../decision/periods.ts';

/**
 * One window in memory, with the algorithm of `sliding.lua` and `quota.lua`: the units that this node admitted without Redis, and
 * the usage in Redis's last reply. Two numbers are charged to the node's share of the limit. The first is the node's units that
 * Redis does not have yet. The second is the larger of two values: the node's units that Redis has, and the node's share of all
 * units in Redis.
 */
export interface LocalWindow {
  /** Returns whether `cost` fits now. Drops expired entries and changes nothing else. */
  hasRoom(rules: WindowRules, cost: number, nowMs: number): boolean;
  /** Returns the time with which the units are counted: `storedAtMs` (absent: `nowMs`), or that of a newer entry. */
  charge(rules: WindowRules, cost: number, nowMs: number, storedAtMs?: number): number;
  /** Returns whether units that were charged at `atMs` are only in this process: not sent to Redis, or not counted any more. */
  isUnsent(atMs: number): boolean;
  /** Removes units that were charged at `atMs` and are only in this process. */
  returnUnsent(cost: number, atMs: number): void;
  /** Removes units that were just charged, except units that are in flight to Redis. */
  returnUnits(cost: number): void;
  /** Removes the oldest units, as `refund.lua` does. Only for a window whose units are all in this process. */
  returnOldest(cost: number): void;
  outcome(rules: WindowRules, cost: number, room: boolean, nowMs: number): WindowOutcome;
  observeRedis(usage: RedisUsage): void;
  /** Returns the entries that Redis does not have and marks them as in flight. Must not be called while entries are in flight. */
  beginSending(): readonly LocalEntry[];
  /** Marks the entries in flight as counted in Redis. */
  confirmSent(): void;
  hasUnsent(): boolean;
  /** Number of entries, for the bound on memory; 0 when the window is empty. */
  size(spanMs: number, nowMs: number): number;
}

/** The limit of a window as this node applies it without Redis: `units` and `burst` are its share. */
export interface WindowRules {
  readonly units: number;
  readonly burst: number;
  readonly spanMs: number;
  readonly grainMs: number;
  readonly periods: Periods | null;
  /** Nodes that share the limit. */
  readonly nodes: number;
}

/** Units of one millisecond, or of a short time. All of them count until the last one expires. */
export interface LocalEntry {
  readonly firstMs: number;
  readonly lastMs: number;
  readonly units: number;
}

/** Usage in Redis's reply: the used units of all nodes, and the time at which the last of them expires. */
export interface RedisUsage {
  readonly used: number;
  readonly goneAtMs: number;
}

interface Entry {
  firstMs: number;
  lastMs: number;
  units: number;
}

/** A timestamp that is ahead of the clock by more than this is set to the current time, as in `clock.lua`. */
const aheadMsMax = 1000;

/**
 * `roundedMs`: how far timestamps may be ahead of the time of the next decision. 0: the node's clock has whole milliseconds. 1: the
 * caller rounds times as Redis does, that of a decision down and stored timestamps up.
 */
export function createSlidingWindow(roundedMs: 0 | 1 = 0): LocalWindow {
  /** Ordered by time, in four groups: expired entries, entries in Redis, entries in flight to Redis, and entries not sent yet. */
  let entries: Entry[] = [];
  /** Index of the first entry that has not expired. */
  let head = 0;
  /** Entries below this index are counted in Redis. */
  let inRedis = 0;
  /** Entries from index `inRedis` up to this index (excluded) are in flight to Redis. */
  let inFlight = 0;
  let [sum, sumInRedis] = [0, 0];
  let [debt, debtAtMs] = [0, 0];
  let usage: RedisUsage = { used: 0, goneAtMs: 0 };

  return {
    hasRoom,
    charge,
    isUnsent: (atMs) => indexOf(atMs) === -1 || indexOf(atMs) >= inFlight,
    ...{ returnUnsent, returnUnits, returnOldest },
    outcome,
    observeRedis: (next) => void (usage = next),
    ...{ beginSending, confirmSent, hasUnsent, size },
  };

  function hasRoom(rules: WindowRules, cost: number, nowMs: number): boolean {
    const now = dropExpired(rules.spanMs, nowMs);
    const over = charged(rules, now) + cost - rules.units;
    return over <= 0 || (over <= rules.burst && poolReadyAt(rules, Math.min(over, cost), now) <= now);
  }

  function charge(rules: WindowRules, cost: number, nowMs: number, storedAtMs = nowMs): number {
    const now = dropExpired(rules.spanMs, nowMs);
    const storedMs = Math.max(storedAtMs, now, entries.at(-1)?.lastMs ?? 0);
    if (rules.burst > 0) {
      const need = Math.min(cost, Math.max(0, charged(rules, now) + cost - rules.units));
      debt = Math.max(0, debt - Math.max(0, storedMs - debtAtMs) * rules.burst) + need * rules.spanMs * 10;
      debtAtMs = storedMs;
    }
    const open = hasUnsent() ? entries.at(-1) : undefined;
    if (open !== undefined && (storedMs === open.lastMs || storedMs - open.firstMs < rules.grainMs)) {
      open.units += cost;
      open.lastMs = storedMs;
    } else {
      entries.push({ firstMs: storedMs, lastMs: storedMs, units: cost });
    }
    sum += cost;
    return storedMs;
  }

  /** Returns the index of the entry with the units of `atMs`; -1 if it has expired. */
  function indexOf(atMs: number): number {
    return entries.findIndex(
      ({ firstMs, lastMs }, index) => index >= head && firstMs <= atMs && atMs <= lastMs,
    );
  }

  function returnUnsent(cost: number, atMs: number): void {
    const index = indexOf(atMs);
    const entry = entries[index];
    if (entry === undefined || index < inFlight) return;
    const units = Math.min(cost, entry.units);
    entry.units -= units;
    sum -= units;
  }

  function returnUnits(cost: number): void {
    for (let left = cost; left > 0 && hasUnsent();) {
      const newest = entries.at(-1);
      if (newest === undefined) return;
      const units = Math.min(left, newest.units);
      newest.units -= units;
      sum -= units;
      left -= units;
      if (newest.units === 0) entries.pop();
    }
  }

  function returnOldest(cost: number): void {
    let left = cost;
    for (let index = head; left > 0; index += 1) {
      const oldest = entries[index];
      if (oldest === undefined) return;
      const units = Math.min(left, oldest.units);
      oldest.units -= units;
      sum -= units;
      left -= units;
    }
  }

  function outcome(rules: WindowRules, cost: number, room: boolean, nowMs: number): WindowOutcome {
    const now = dropExpired(rules.spanMs, nowMs);
    const used = charged(rules, now);
    const newestMs = sum > 0 ? (entries.at(-1)?.lastMs ?? 0) + rules.spanMs : 0;
    const goneAtMs = Math.max(newestMs, usage.used > 0 ? usage.goneAtMs : 0);
    return {
      remaining: Math.max(0, rules.units - used),
      resetInMs: used > 0 ? Math.max(0, goneAtMs - nowMs) : 0,
      waitMs: room ? 0 : Math.max(1, roomAt(rules, cost, now) - nowMs),
    };
  }

  function beginSending(): readonly LocalEntry[] {
    const first = Math.max(inFlight, head);
    inFlight = entries.length;
    return entries.slice(first);
  }

  function confirmSent(): void {
    for (let index = Math.max(inRedis, head); index < inFlight; index += 1)
      sumInRedis += entries[index]?.units ?? 0;
    inRedis = inFlight;
  }

  function hasUnsent(): boolean {
    return entries.length > Math.max(head, inFlight);
  }

  function size(spanMs: number, nowMs: number): number {
    dropExpired(spanMs, nowMs);
    return entries.length - head;
  }

  function charged({ nodes }: WindowRules, now: number): number {
    return sum - sumInRedis + Math.max(sumInRedis, shareOfUsage(usage, nodes, now));
  }

  /**
   * Drops the entries that have left the window. Returns the time for the decision: at least the newest entry's time,
   * so that the decisions' time never runs backwards.
   */
  function dropExpired(spanMs: number, nowMs: number): number {
    if ((entries.at(-1)?.lastMs ?? 0) > nowMs + aheadMsMax) correctTimestamps(nowMs);
    const now = Math.max(nowMs, (entries.at(-1)?.lastMs ?? 0) - roundedMs);
    for (let entry = entries[head]; entry !== undefined; entry = entries[head]) {
      if (entry.lastMs + spanMs > now) break;
      sum -= entry.units;
      if (head < inRedis) sumInRedis -= entry.units;
      head += 1;
    }
    if (head > 64 && head * 2 > entries.length) {
      entries = entries.slice(head);
      inRedis = Math.max(0, inRedis - head);
      inFlight = Math.max(0, inFlight - head);
      head = 0;
    }
    return now;
  }

  /**
   * Sets timestamps that are ahead of the clock to the current time. The clock was ahead when they were written, or was set back
   * later.
   */
  function correctTimestamps(nowMs: number): void {
    for (const entry of entries) {
      entry.firstMs = Math.min(entry.firstMs, nowMs);
      entry.lastMs = Math.min(entry.lastMs, nowMs);
    }
    debtAtMs = Math.min(debtAtMs, nowMs);
  }

  function poolReadyAt(rules: WindowRules, need: number, now: number): number {
    const excess = debt + (need - rules.burst) * rules.spanMs * 10;
    return excess <= 0 ? now : debtAtMs + Math.ceil(excess / rules.burst);
  }

  /**
   * Returns the first time at which there is room. Goes through the expiries of the entries in order; between two expiries, the
   * burst pool may refill enough.
   */
  function roomAt(rules: WindowRules, cost: number, now: number): number {
    let [own, ownInRedis, index, at] = [sum, sumInRedis, head, now];
    for (;;) {
      const entry = entries[index];
      const share = shareOfUsage(usage, rules.nodes, at);
      const over = own - ownInRedis + Math.max(ownInRedis, share) + cost - rules.units;
      if (over <= 0) return at;
      const entryLeavesAt = entry === undefined ? Infinity : entry.lastMs + rules.spanMs;
      const leavesAt = share > 0 ? Math.min(entryLeavesAt, usage.goneAtMs) : entryLeavesAt;
      if (over <= rules.burst) {
        const ready = Math.max(at, poolReadyAt(rules, Math.min(over, cost), now));
        if (ready <= leavesAt) return ready;
      }
      if (leavesAt === Infinity) return at;
      at = leavesAt;
      if (entry === undefined || entryLeavesAt > leavesAt) continue;
      own -= entry.units;
      if (index < inRedis) ownInRedis -= entry.units;
      index += 1;
    }
  }
}

/**
 * Returns this node's share of the used units in Redis, and 0 when all of these units have expired. The share is rounded up,
 * because the node is charged for it; `nodeShare`, which a node grants, is rounded down.
 */
export function shareOfUsage({ used, goneAtMs }: RedisUsage, nodes: number, nowMs: number): number {
  return goneAtMs > nowMs ? Math.ceil(used / nodes) : 0;
}
