import { LRUCache } from 'lru-cache';
import type { Verdict } from './verdict.ts';

/** Maximum number of stored refusals: enough for a developer who looks up a refusal within minutes. */
const decisionsMax = 2_000;
const pathLengthMax = 256;

/**
 * The latest refusals of this node, with the states of their limits. The usage event in ClickHouse does not have these
 * states, and it arrives later. A restart of the node loses only the states.
 */
export class RecentDecisions {
  readonly #byId = new LRUCache<string, Verdict>({ max: decisionsMax });

  remember(verdict: Verdict): void {
    // The copy has a shortened path, because two thousand targets of maximum length would use 30 MB.
    const path = verdict.path.slice(0, pathLengthMax);
    this.#byId.set(verdict.decision.id, { ...verdict, path, target: null });
  }

  find(decisionId: string): Verdict | null {
    return this.#byId.get(decisionId) ?? null;
  }
}
