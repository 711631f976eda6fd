import { LRUCache } from 'lru-cache';
import { anonymousTenant } from '../../../shared/domain/usage-event.ts';
import type { Verdict } from '../enforcer/verdict.ts';

/** A decision about a request that an application answers, as far as its outcome needs it. */
export interface CheckedDecision {
  readonly id: string;
  /** Subject of its event. */
  readonly tenantId: string;
  /** Empty where none was named. */
  readonly userId: string;
  /** Time of its event, Unix milliseconds. */
  readonly timeMs: number;
}

/** Some ten megabytes. */
const decisionsMax = 50_000;

/**
 * The decisions that applications asked this node for a moment ago, and the outcomes it wrote of them. An application
 * reports an outcome long before the event is in ClickHouse. Bounded; a restart costs a wait of seconds, until
 * ClickHouse has the event.
 */
export interface CheckedDecisions {
  remember(verdict: Verdict): void;
  add(decision: CheckedDecision): void;
  find(decisionId: string): CheckedDecision | null;
  /** True where this outcome is the last that this node wrote of the decision. */
  isReported(decisionId: string, outcome: string): boolean;
  reported(decisionId: string, outcome: string): void;
  /** The outcome was not written safely: sent again it is written again. */
  forgetOutcome(decisionId: string): void;
}

export function createCheckedDecisions(): CheckedDecisions {
  const byId = new LRUCache<string, CheckedDecision>({ max: decisionsMax });
  const outcomes = new LRUCache<string, string>({ max: decisionsMax });
  const add = (decision: CheckedDecision): void => void byId.set(decision.id, decision);
  return {
    add,
    remember: ({ decision, identity, atMs, unreadable, credentials }) => {
      // Of floods of these a sample has an event, and an outcome needs one.
      if (unreadable !== null || credentials !== null) return;
      const { tenantId, userId } = identity;
      add({ id: decision.id, tenantId: tenantId ?? anonymousTenant, userId: userId ?? '', timeMs: atMs });
    },
    find: (decisionId) => byId.get(decisionId) ?? null,
    isReported: (decisionId, outcome) => outcomes.get(decisionId) === outcome,
    reported: (decisionId, outcome) => void outcomes.set(decisionId, outcome),
    forgetOutcome: (decisionId) => void outcomes.delete(decisionId),
  };
}
