import { shareOfHeard } from './local-window.ts';
import type { Heard, LocalWindow, WindowRules } from './local-window.ts';

/** A calendar quota of the period that runs; a period that begins forgets the one before. */
export function createQuotaWindow(): LocalWindow {
  let finishMs = -Infinity;
  let unsent = 0;
  let onTheirWay = 0;
  let inRedis = 0;
  let firstMs = 0;
  let lastMs = 0;
  let heard: Heard = { used: 0, goneAtMs: 0 };

  return {
    hasRoom: (rules, cost, nowMs) => {
      settle(rules, nowMs);
      return charged(rules, nowMs) + cost <= rules.units;
    },
    take: (rules, cost, nowMs) => {
      settle(rules, nowMs);
      if (unsent === 0) firstMs = nowMs;
      lastMs = nowMs;
      unsent += cost;
    },
    giveBack: (cost) => void (unsent = Math.max(0, unsent - cost)),
    answer: (rules, _cost, room, nowMs) => {
      settle(rules, nowMs);
      return {
        remaining: Math.max(0, rules.units - charged(rules, nowMs)),
        resetInMs: Math.max(0, finishMs - nowMs),
        waitMs: room ? 0 : Math.max(1, finishMs - nowMs),
      };
    },
    hear: (next) => void (heard = next),
    send: () => {
      const entries = unsent === 0 ? [] : [{ firstMs, lastMs, units: unsent }];
      [onTheirWay, unsent] = [onTheirWay + unsent, 0];
      return entries;
    },
    sent: () => void ([inRedis, onTheirWay] = [inRedis + onTheirWay, 0]),
    hasUnsent: () => unsent > 0,
    size: (_spanMs, nowMs) => (nowMs < finishMs && unsent + onTheirWay + inRedis > 0 ? 1 : 0),
  };

  function charged({ nodes }: WindowRules, nowMs: number): number {
    return unsent + onTheirWay + Math.max(inRedis, shareOfHeard(heard, nodes, nowMs));
  }

  function settle({ periods }: WindowRules, nowMs: number): void {
    if (periods === null) return;
    const { before, start, finish, after } = periods;
    const [startsMs, endsMs] =
      nowMs >= finish ? [finish, after] : nowMs < start ? [before, start] : [start, finish];
    if (endsMs <= finishMs) return;
    // A period of another zone that shares time with this one: what was used in it stays counted.
    if (finishMs <= startsMs) [unsent, onTheirWay, inRedis] = [0, 0, 0];
    finishMs = endsMs;
  }
}
