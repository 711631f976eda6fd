import { problemOfId, problemOfTenantId } from '../domain/identity.ts';
import type { JwtPolicy } from '../domain/policy.ts';

/** What a verified token says of its holder. */
export interface Claims {
  readonly tenantId: string | null;
  readonly userId: string | null;
  readonly plan: string | null;
}

export type ClaimsReading = { readonly claims: Claims } | { readonly problem: string };

/**
 * Reads the claims that the policy names. The one reading of them: gateway and console use it, so a token is the same
 * tenant everywhere.
 *
 * The first tenant claim that is there decides; one that cannot be an id is refused, never passed over for the next. A
 * claim that is null counts as absent. An id is text or a whole number; a number that JSON readers round (a fraction,
 * or beyond 2^53) is refused, because two tenants could become one. A plan claim that is no text names no plan.
 */
export function readClaims(payload: Readonly<Record<string, unknown>>, policy: JwtPolicy): ClaimsReading {
  const { tenantClaims, userClaim, planClaim } = policy;
  const tenantClaim = tenantClaims.find((name) => claimOf(payload, name) !== null);
  let tenantId: string | null = null;
  if (tenantClaim !== undefined) {
    tenantId = idOf(claimOf(payload, tenantClaim));
    const problem = tenantId === null ? notAnId : problemOfTenantId(tenantId);
    if (problem !== null) return { problem: `The token's claim "${tenantClaim}" ${problem}.` };
  }
  const user = claimOf(payload, userClaim);
  const userId = user === null ? null : idOf(user);
  if (user !== null) {
    const problem = userId === null ? notAnId : problemOfId(userId);
    if (problem !== null) return { problem: `The token's claim "${userClaim}" ${problem}.` };
  }
  const plan = claimOf(payload, planClaim);
  return { claims: { tenantId, userId, plan: typeof plan === 'string' ? plan : null } };
}

const notAnId = 'is neither text nor a whole number';

/** Own properties only: a claim named `constructor` is not there by itself. */
function claimOf(payload: Readonly<Record<string, unknown>>, name: string): unknown {
  return Object.hasOwn(payload, name) ? (payload[name] ?? null) : null;
}

function idOf(claim: unknown): string | null {
  if (typeof claim === 'string') return claim;
  return Number.isSafeInteger(claim) ? String(claim) : null;
}
