import type { Decision } from './answers.ts';

/** What happens to a request about which Tollgate does not decide. */
export type OnFailure = 'open' | 'closed';

/** The decision of the client itself, for a request about which Tollgate did not decide. */
export function undecided(onFailure: OnFailure): Decision {
  const allowed = onFailure === 'open';
  const decision = { allowed, decided: false, decision_id: null, limits: [], delay_ms: 0, degraded: true };
  if (allowed) return { ...decision, headers: {} };
  return {
    ...decision,
    headers: { 'retry-after': '1' },
    retry_after_seconds: 1,
    problem: {
      type: 'about:blank',
      title: 'Service Unavailable',
      status: 503,
      detail: 'The limits cannot be checked now; try again.',
    },
  };
}
