import type { WindowAnswer } from './check.ts';
import type { Periods } from './periods.ts';

/** What a node counts by itself while Redis is away: the same algorithm as `sliding.lua` and `quota.lua`, in memory. */
export interface LocalWindow {
  /** Whether `cost` fits now. Changes nothing but the expiry of what has left. */
  hasRoom(rules: WindowRules, cost: number, nowMs: number): boolean;
  take(rules: WindowRules, cost: number, nowMs: number): void;
  answer(rules: WindowRules, cost: number, room: boolean, nowMs: number): WindowAnswer;
  /** Entries held, for the bound on memory. */
  size(): number;
}

/** The part of a limit that this node may grant. */
export interface WindowRules {
  readonly units: number;
  readonly burst: number;
  readonly spanMs: number;
  readonly grainMs: number;
  readonly periods: Periods | null;
}

interface Entry {
  firstMs: number;
  lastMs: number;
  units: number;
}

/** As in `clock.lua`: a stamp further ahead than this is moved to now. */
const aheadMsMax = 1000;

/** `seed`: units counted elsewhere before this node was on its own, and when the last of them was taken. */
export function createSlidingWindow(seed: { units: number; atMs: number } | null): LocalWindow {
  let entries: Entry[] = [];
  let head = 0;
  let sum = 0;
  let debt = 0;
  let debtAtMs = 0;
  if (seed !== null && seed.units > 0) push(seed.units, seed.atMs);

  return { hasRoom, take, answer, size: () => entries.length - head };

  function hasRoom(rules: WindowRules, cost: number, nowMs: number): boolean {
    const now = settle(rules, nowMs);
    const over = sum + cost - rules.units;
    return over <= 0 || (over <= rules.burst && poolReadyAt(rules, Math.min(over, cost), now) <= now);
  }

  function take(rules: WindowRules, cost: number, nowMs: number): void {
    const now = settle(rules, nowMs);
    if (rules.burst > 0) {
      const need = Math.min(cost, Math.max(0, sum + cost - rules.units));
      debt = Math.max(0, debt - Math.max(0, now - debtAtMs) * rules.burst) + need * rules.spanMs * 10;
      debtAtMs = now;
    }
    const open = entries.length > head ? entries.at(-1) : undefined;
    if (open !== undefined && (now === open.lastMs || now - open.firstMs < rules.grainMs)) {
      open.units += cost;
      open.lastMs = now;
      sum += cost;
    } else {
      push(cost, now);
    }
  }

  function answer(rules: WindowRules, cost: number, room: boolean, nowMs: number): WindowAnswer {
    settle(rules, nowMs);
    const newest = entries.at(-1);
    return {
      remaining: Math.max(0, rules.units - sum),
      resetInMs: sum > 0 && newest !== undefined ? Math.max(0, newest.lastMs + rules.spanMs - nowMs) : 0,
      waitMs: room ? 0 : Math.max(1, roomAt(rules, cost, settle(rules, nowMs)) - nowMs),
    };
  }

  /** Drops what has left the window; answers the time to decide by, which never runs backwards. */
  function settle(rules: WindowRules, nowMs: number): number {
    if ((entries.at(-1)?.lastMs ?? 0) > nowMs + aheadMsMax) correctStamps(nowMs);
    const now = Math.max(nowMs, entries.at(-1)?.lastMs ?? 0);
    for (let entry = entries[head]; entry !== undefined; entry = entries[head]) {
      if (entry.lastMs + rules.spanMs > now) break;
      sum -= entry.units;
      head += 1;
    }
    if (head > 64 && head * 2 > entries.length) {
      entries = entries.slice(head);
      head = 0;
    }
    return now;
  }

  /** The clock was ahead when these were written, or was set back since. */
  function correctStamps(nowMs: number): void {
    for (const entry of entries) {
      entry.firstMs = Math.min(entry.firstMs, nowMs);
      entry.lastMs = Math.min(entry.lastMs, nowMs);
    }
    debtAtMs = Math.min(debtAtMs, nowMs);
  }

  function push(units: number, atMs: number): void {
    entries.push({ firstMs: atMs, lastMs: atMs, units });
    sum += units;
  }

  function poolReadyAt(rules: WindowRules, need: number, now: number): number {
    const excess = debt + (need - rules.burst) * rules.spanMs * 10;
    return excess <= 0 ? now : debtAtMs + Math.ceil(excess / rules.burst);
  }

  /** The first moment with room: entries leave one by one, and between two of them the burst pool refills. */
  function roomAt(rules: WindowRules, cost: number, now: number): number {
    let at = now;
    let over = sum + cost - rules.units;
    for (let index = head; over > 0; index += 1) {
      const entry = entries[index];
      const leavesAt = entry === undefined ? Infinity : entry.lastMs + rules.spanMs;
      if (over <= rules.burst) {
        const ready = Math.max(at, poolReadyAt(rules, Math.min(over, cost), now));
        if (ready <= leavesAt) return ready;
      }
      if (entry === undefined) return at;
      at = leavesAt;
      over -= entry.units;
    }
    return at;
  }
}

export function createQuotaWindow(seed: { units: number; finishMs: number } | null): LocalWindow {
  let finishMs = seed?.finishMs ?? -Infinity;
  let used = seed?.units ?? 0;
  return {
    hasRoom: (rules, cost, nowMs) => {
      settle(rules, nowMs);
      return used + cost <= rules.units;
    },
    take: (rules, cost, nowMs) => {
      settle(rules, nowMs);
      used += cost;
    },
    answer: (rules, _cost, room, nowMs) => {
      settle(rules, nowMs);
      return {
        remaining: Math.max(0, rules.units - used),
        resetInMs: Math.max(0, finishMs - nowMs),
        waitMs: room ? 0 : Math.max(1, finishMs - nowMs),
      };
    },
    size: () => 1,
  };

  function settle({ periods }: WindowRules, nowMs: number): void {
    if (periods === null) return;
    const { before, start, finish, after } = periods;
    const [startsMs, endsMs] =
      nowMs >= finish ? [finish, after] : nowMs < start ? [before, start] : [start, finish];
    if (endsMs <= finishMs) return;
    // A period of another zone that shares time with this one: what was used in it stays counted.
    if (finishMs <= startsMs) used = 0;
    finishMs = endsMs;
  }
}
