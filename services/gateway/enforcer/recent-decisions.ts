import { LRUCache } from 'lru-cache';
import type { Verdict } from './verdict.ts';

/** Enough for a developer who looks up a refusal right away. */
const decisionsMax = 2_000;
const pathLengthMax = 256;

/**
 * The latest refusals of this node with the state of their limits. The stored event does not have that state, and it
 * reaches ClickHouse later. Bounded; a crash here costs only the detail.
 */
export class RecentDecisions {
  readonly #byId = new LRUCache<string, Verdict>({ max: decisionsMax });

  remember(verdict: Verdict): void {
    // A copy with a short path: two thousand of the longest targets would use 30 MB.
    const path = verdict.path.slice(0, pathLengthMax);
    this.#byId.set(verdict.decision.id, { ...verdict, path, target: null });
  }

  find(decisionId: string): Verdict | null {
    return this.#byId.get(decisionId) ?? null;
  }
}
