import { LRUCache } from 'lru-cache';
import { anonymousTenant } from '../../../shared/domain/usage-event.ts';
import type { Verdict } from '../enforcer/verdict.ts';
import { returnableCharge } from './returnable-charge.ts';
import type { ReturnableCharge } from './returnable-charge.ts';

/**
 * The fields of a decision that are needed to write its outcome. The decision is about a request that an application
 * serves.
 */
export interface CheckedDecision {
  readonly id: string;
  /** The `subject` of the decision's event: the tenant. */
  readonly tenantId: string;
  /** Empty if the caller has no user. */
  readonly userId: string;
  /** The time of the decision's event, in Unix milliseconds. */
  readonly timeMs: number;
  /** Units that an outcome with certain statuses gives back; null if no outcome does. */
  readonly charge: ReturnableCharge | null;
}

/** Maximum number of decisions in memory, about 10 MB. */
const decisionsMax = 50_000;

/**
 * Cache of the latest decisions of this node about requests that applications serve, and of the outcomes that this node
 * wrote for them. It is needed because an application reports an outcome before ClickHouse has the decision's event.
 * After a restart of the node the cache is empty: for a few seconds, outcomes of decisions that ClickHouse does not
 * have yet are answered with `unknown`.
 */
export interface CheckedDecisions {
  remember(verdict: Verdict): void;
  add(decision: CheckedDecision): void;
  find(decisionId: string): CheckedDecision | null;
  /** True if this outcome is the last one that this node wrote for the decision. */
  isReported(decisionId: string, outcome: string): boolean;
  reported(decisionId: string, outcome: string): void;
  /** Removes an outcome whose write failed from the cache, so that it is written when the client sends it again. */
  forgetOutcome(decisionId: string): void;
}

export function createCheckedDecisions(): CheckedDecisions {
  const byId = new LRUCache<string, CheckedDecision>({ max: decisionsMax });
  const outcomes = new LRUCache<string, string>({ max: decisionsMax });
  const add = (decision: CheckedDecision): void => void byId.set(decision.id, decision);
  return {
    add,
    remember: (verdict) => {
      const { decision, identity, atMs, unreadable, credentialRejection } = verdict;
      // An outcome corrects an event. Only a sample of invalid requests has events, so their decisions are not stored.
      if (unreadable !== null || credentialRejection !== null) return;
      const { tenantId, userId } = identity;
      add({
        id: decision.id,
        tenantId: tenantId ?? anonymousTenant,
        userId: userId ?? '',
        timeMs: atMs,
        charge: returnableCharge(verdict),
      });
    },
    find: (decisionId) => byId.get(decisionId) ?? null,
    isReported: (decisionId, outcome) => outcomes.get(decisionId) === outcome,
    reported: (decisionId, outcome) => void outcomes.set(decisionId, outcome),
    forgetOutcome: (decisionId) => void outcomes.delete(decisionId),
  };
}
