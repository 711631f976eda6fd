import { LRUCache } from 'lru-cache';
import type { Verdict } from './verdict.ts';

/** Refusals kept in memory, newest first to stay: enough for a developer who looks one up right away. */
const decisionsMax = 2_000;
const pathLengthMax = 256;

/**
 * The refusals of this node's last moments with the counters as they stood, which the stored event does not hold, and
 * before the event has reached ClickHouse. Bounded; a crash here costs only the detail.
 */
export interface RecentDecisions {
  remember(verdict: Verdict): void;
  find(decisionId: string): Verdict | null;
}

export function createRecentDecisions(): RecentDecisions {
  const byId = new LRUCache<string, Verdict>({ max: decisionsMax });
  return {
    remember: (verdict) => {
      // A copy with a short path: two thousand of the longest targets would hold 30 MB.
      const path = verdict.path.slice(0, pathLengthMax);
      byId.set(verdict.decision.id, { ...verdict, path, target: null });
    },
    find: (decisionId) => byId.get(decisionId) ?? null,
  };
}
