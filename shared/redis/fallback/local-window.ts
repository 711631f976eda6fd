import type { WindowAnswer } from '../decision/check.ts';
import type { Periods } from '../decision/periods.ts';

/**
 * What a node admitted without Redis in one window, and what it last heard of Redis: the same algorithm as `sliding.lua`
 * and `quota.lua`, in memory. Charged are the units that Redis does not have, and of those that it has the larger of the
 * node's own and its share of all.
 */
export interface LocalWindow {
  /** Whether `cost` fits now. Changes nothing but the expiry of what has left. */
  hasRoom(rules: WindowRules, cost: number, nowMs: number): boolean;
  take(rules: WindowRules, cost: number, nowMs: number): void;
  /** Returns units that were just taken, as far as they are not on their way to Redis. */
  giveBack(cost: number): void;
  answer(rules: WindowRules, cost: number, room: boolean, nowMs: number): WindowAnswer;
  /** What Redis counted, and when all of it is gone. */
  hear(heard: Heard): void;
  /** The units that Redis does not have, from now on those on their way. Never called while there are some. */
  send(): readonly LocalEntry[];
  /** Redis has those that were on their way. */
  sent(): void;
  hasUnsent(): boolean;
  /** Entries held, for the bound on memory; 0 where nothing is left to remember. */
  size(spanMs: number, nowMs: number): number;
}

/** The part of a limit that this node may grant. */
export interface WindowRules {
  readonly units: number;
  readonly burst: number;
  readonly spanMs: number;
  readonly grainMs: number;
  readonly periods: Periods | null;
  /** Nodes that share the limit. */
  readonly nodes: number;
}

/** Units of one moment, or of several that are counted in full until the last of them is gone. */
export interface LocalEntry {
  readonly firstMs: number;
  readonly lastMs: number;
  readonly units: number;
}

export interface Heard {
  readonly used: number;
  readonly goneAtMs: number;
}

interface Entry {
  firstMs: number;
  lastMs: number;
  units: number;
}

/** As in `clock.lua`: a stamp further ahead than this is moved to now. */
const aheadMsMax = 1000;

export function createSlidingWindow(): LocalWindow {
  /** In the order of time: out of the window, then in Redis, then on their way, then unsent. */
  let entries: Entry[] = [];
  let head = 0;
  let inRedis = 0;
  let onTheirWay = 0;
  let sum = 0;
  let sumInRedis = 0;
  let debt = 0;
  let debtAtMs = 0;
  let heard: Heard = { used: 0, goneAtMs: 0 };

  return { hasRoom, take, giveBack, answer, hear, send, sent, hasUnsent, size };

  function hasRoom(rules: WindowRules, cost: number, nowMs: number): boolean {
    const now = settle(rules.spanMs, nowMs);
    const over = charged(rules, now) + cost - rules.units;
    return over <= 0 || (over <= rules.burst && poolReadyAt(rules, Math.min(over, cost), now) <= now);
  }

  function take(rules: WindowRules, cost: number, nowMs: number): void {
    const now = settle(rules.spanMs, nowMs);
    if (rules.burst > 0) {
      const need = Math.min(cost, Math.max(0, charged(rules, now) + cost - rules.units));
      debt = Math.max(0, debt - Math.max(0, now - debtAtMs) * rules.burst) + need * rules.spanMs * 10;
      debtAtMs = now;
    }
    const open = hasUnsent() ? entries.at(-1) : undefined;
    if (open !== undefined && (now === open.lastMs || now - open.firstMs < rules.grainMs)) {
      open.units += cost;
      open.lastMs = now;
    } else {
      entries.push({ firstMs: now, lastMs: now, units: cost });
    }
    sum += cost;
  }

  function giveBack(cost: number): void {
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

  function answer(rules: WindowRules, cost: number, room: boolean, nowMs: number): WindowAnswer {
    const now = settle(rules.spanMs, nowMs);
    const used = charged(rules, now);
    const newestMs = sum > 0 ? (entries.at(-1)?.lastMs ?? 0) + rules.spanMs : 0;
    const goneAtMs = Math.max(newestMs, heard.used > 0 ? heard.goneAtMs : 0);
    return {
      remaining: Math.max(0, rules.units - used),
      resetInMs: used > 0 ? Math.max(0, goneAtMs - nowMs) : 0,
      waitMs: room ? 0 : Math.max(1, roomAt(rules, cost, now) - nowMs),
    };
  }

  function hear(next: Heard): void {
    heard = next;
  }

  function send(): readonly LocalEntry[] {
    const first = Math.max(onTheirWay, head);
    onTheirWay = entries.length;
    return entries.slice(first);
  }

  function sent(): void {
    for (let index = Math.max(inRedis, head); index < onTheirWay; index += 1)
      sumInRedis += entries[index]?.units ?? 0;
    inRedis = onTheirWay;
  }

  function hasUnsent(): boolean {
    return entries.length > Math.max(head, onTheirWay);
  }

  function size(spanMs: number, nowMs: number): number {
    settle(spanMs, nowMs);
    return entries.length - head;
  }

  function charged({ nodes }: WindowRules, now: number): number {
    return sum - sumInRedis + Math.max(sumInRedis, shareOfHeard(heard, nodes, now));
  }

  /** Drops what has left the window; answers the time to decide by, which never runs backwards. */
  function settle(spanMs: number, nowMs: number): number {
    if ((entries.at(-1)?.lastMs ?? 0) > nowMs + aheadMsMax) correctStamps(nowMs);
    const now = Math.max(nowMs, entries.at(-1)?.lastMs ?? 0);
    for (let entry = entries[head]; entry !== undefined; entry = entries[head]) {
      if (entry.lastMs + spanMs > now) break;
      sum -= entry.units;
      if (head < inRedis) sumInRedis -= entry.units;
      head += 1;
    }
    if (head > 64 && head * 2 > entries.length) {
      entries = entries.slice(head);
      inRedis = Math.max(0, inRedis - head);
      onTheirWay = Math.max(0, onTheirWay - head);
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

  function poolReadyAt(rules: WindowRules, need: number, now: number): number {
    const excess = debt + (need - rules.burst) * rules.spanMs * 10;
    return excess <= 0 ? now : debtAtMs + Math.ceil(excess / rules.burst);
  }

  /** The first moment with room: entries leave one by one, and between two of them the burst pool refills. */
  function roomAt(rules: WindowRules, cost: number, now: number): number {
    let [own, ownInRedis, index, at] = [sum, sumInRedis, head, now];
    for (;;) {
      const entry = entries[index];
      const share = shareOfHeard(heard, rules.nodes, at);
      const over = own - ownInRedis + Math.max(ownInRedis, share) + cost - rules.units;
      if (over <= 0) return at;
      const entryLeavesAt = entry === undefined ? Infinity : entry.lastMs + rules.spanMs;
      const leavesAt = share > 0 ? Math.min(entryLeavesAt, heard.goneAtMs) : entryLeavesAt;
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

/** This node's part of what Redis counted, for as long as any of it may be in the window. */
export function shareOfHeard({ used, goneAtMs }: Heard, nodes: number, nowMs: number): number {
  return goneAtMs > nowMs ? Math.ceil(used / nodes) : 0;
}
