import { problemOfId, problemOfTenantId } from '../domain/identity.ts';
import type { Attributes } from '../domain/limit.ts';
import type { JwtPolicy } from '../domain/policy.ts';

/** Claims of a verified token about its holder. */
export interface Claims {
  readonly tenantId: string | null;
  readonly userId: string | null;
  readonly plan: string | null;
  /** Attributes of the holder, by name; absent if there are none. */
  readonly attributes?: Attributes;
}

export type ClaimsReading = { readonly claims: Claims } | { readonly problem: string };

/**
 * Reads the claims that the policy names. The gateway and the portal use this function, so a token belongs to the same
 * tenant in both. The first tenant claim that is present counts; if its value is not a valid id, the token is refused
 * and no other claim is read. A claim that is null counts as absent. An id is a text or a whole number. A number that
 * JSON readers round (a fraction, or beyond 2^53) is refused, because two tenants could become one. A plan claim that
 * is not a text is ignored.
 */
export function readClaims(payload: Readonly<Record<string, unknown>>, policy: JwtPolicy): ClaimsReading {
  const { tenantClaims, userClaim, planClaim, attributeClaims } = policy;
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
  const claims = { tenantId, userId, plan: typeof plan === 'string' ? plan : null };
  return {
    claims: attributeClaims.size === 0 ? claims : { ...claims, attributes: attributesIn(payload, policy) },
  };
}

/** A claim that is neither text nor a whole number is as if it were absent. */
function attributesIn(
  payload: Readonly<Record<string, unknown>>,
  { attributeClaims }: JwtPolicy,
): Attributes {
  const attributes: Record<string, string> = {};
  for (const [name, claim] of attributeClaims) {
    const value = idOf(claimOf(payload, claim));
    if (value !== null) attributes[name] = value;
  }
  return attributes;
}

const notAnId = 'is neither text nor a whole number';

/** Reads own properties only: every object inherits a property named `constructor`. */
function claimOf(payload: Readonly<Record<string, unknown>>, name: string): unknown {
  return Object.hasOwn(payload, name) ? (payload[name] ?? null) : null;
}

function idOf(claim: unknown): string | null {
  if (typeof claim === 'string') return claim;
  return Number.isSafeInteger(claim) ? String(claim) : null;
}
