import { shareOfUsage } from './local-window.ts';
import type { LocalWindow, RedisUsage, WindowRules } from './local-window.ts';

/** Counts a calendar quota in its current period. When a new period starts, the units of the period before are cleared. */
export function createQuotaWindow(): LocalWindow {
  let startMs = -Infinity;
  let finishMs = -Infinity;
  let unsent = 0;
  let inFlight = 0;
  let inRedis = 0;
  let firstMs = 0;
  let lastMs = 0;
  let usage: RedisUsage = { used: 0, goneAtMs: 0 };

  return {
    hasRoom: (rules, cost, nowMs) => {
      advance(rules, nowMs);
      return charged(rules, nowMs) + cost <= rules.units;
    },
    charge: (rules, cost, nowMs) => {
      advance(rules, nowMs);
      if (unsent === 0) firstMs = nowMs;
      lastMs = nowMs;
      unsent += cost;
      return nowMs;
    },
    isUnsent: (atMs) => atMs < startMs || (inFlight === 0 && inRedis === 0),
    returnUnsent: (cost, atMs) => {
      if (atMs >= startMs) unsent = Math.max(0, unsent - cost);
    },
    returnUnits: (cost) => void (unsent = Math.max(0, unsent - cost)),
    returnOldest: (cost) => void (unsent = Math.max(0, unsent - cost)),
    outcome: (rules, _cost, room, nowMs) => {
      advance(rules, nowMs);
      return {
        remaining: Math.max(0, rules.units - charged(rules, nowMs)),
        resetInMs: Math.max(0, finishMs - nowMs),
        waitMs: room ? 0 : Math.max(1, finishMs - nowMs),
      };
    },
    observeRedis: (next) => void (usage = next),
    beginSending: () => {
      const entries = unsent === 0 ? [] : [{ firstMs, lastMs, units: unsent }];
      [inFlight, unsent] = [inFlight + unsent, 0];
      return entries;
    },
    confirmSent: () => void ([inRedis, inFlight] = [inRedis + inFlight, 0]),
    hasUnsent: () => unsent > 0,
    size: (_spanMs, nowMs) => (nowMs < finishMs && unsent + inFlight + inRedis > 0 ? 1 : 0),
  };

  function charged({ nodes }: WindowRules, nowMs: number): number {
    return unsent + inFlight + Math.max(inRedis, shareOfUsage(usage, nodes, nowMs));
  }

  function advance({ periods }: WindowRules, nowMs: number): void {
    if (periods === null) return;
    const { before, start, finish, after } = periods;
    const [startsMs, endsMs] =
      nowMs >= finish ? [finish, after] : nowMs < start ? [before, start] : [start, finish];
    if (endsMs <= finishMs) return;
    // If the stored period ends later than this one starts, the calendar was changed and both periods overlap: the used units
    // then stay counted.
    if (finishMs <= startsMs) [unsent, inFlight, inRedis, startMs] = [0, 0, 0, startsMs];
    finishMs = endsMs;
  }
}
