import { LRUCache } from 'lru-cache';
import { anonymousTenant } from '../../../shared/domain/usage-event.ts';
import type { Verdict } from '../enforcer/verdict.ts';

/** A decision about a request that an application responds to itself: the fields that its outcome needs. */
export interface CheckedDecision {
  readonly id: string;
  /** The subject of the decision's event. */
  readonly tenantId: string;
  /** Empty if the caller has no user. */
  readonly userId: string;
  /** The time of the decision's event, in Unix milliseconds. */
  readonly timeMs: number;
}

/** Bounds memory to about 10 MB. */
const decisionsMax = 50_000;

/**
 * Cache of this node's latest decisions for applications, and of the outcomes it wrote for them. An application reports
 * an outcome before the decision's event is in ClickHouse. After a restart, outcomes of decisions that are not yet in
 * ClickHouse are unknown for a few seconds.
 */
export interface CheckedDecisions {
  remember(verdict: Verdict): void;
  add(decision: CheckedDecision): void;
  find(decisionId: string): CheckedDecision | null;
  /** True if this outcome is the last one that this node wrote for the decision. */
  isReported(decisionId: string, outcome: string): boolean;
  reported(decisionId: string, outcome: string): void;
  /** Forgets an outcome that was not written durably, so that it is written when it is sent again. */
  forgetOutcome(decisionId: string): void;
}

export function createCheckedDecisions(): CheckedDecisions {
  const byId = new LRUCache<string, CheckedDecision>({ max: decisionsMax });
  const outcomes = new LRUCache<string, string>({ max: decisionsMax });
  const add = (decision: CheckedDecision): void => void byId.set(decision.id, decision);
  return {
    add,
    remember: ({ decision, identity, atMs, unreadable, credentialRejection }) => {
      // Only a sample of invalid requests has events, and an outcome corrects an event.
      if (unreadable !== null || credentialRejection !== null) return;
      const { tenantId, userId } = identity;
      add({ id: decision.id, tenantId: tenantId ?? anonymousTenant, userId: userId ?? '', timeMs: atMs });
    },
    find: (decisionId) => byId.get(decisionId) ?? null,
    isReported: (decisionId, outcome) => outcomes.get(decisionId) === outcome,
    reported: (decisionId, outcome) => void outcomes.set(decisionId, outcome),
    forgetOutcome: (decisionId) => void outcomes.delete(decisionId),
  };
}
