import { createSecretKey } from 'node:crypto';
import { createRemoteJWKSet, errors, jwtVerify } from 'jose';
import type { JWTPayload, JWTVerifyOptions, JWTVerifyResult } from 'jose';
import { LRUCache } from 'lru-cache';
import { problemOfId, problemOfTenantId } from '../../shared/domain/identity.ts';
import type { IdentityPolicy } from '../../shared/domain/policy.ts';
import type { Clock } from '../../shared/runtime/clock.ts';
import { messageOf } from '../../shared/runtime/errors.ts';

export interface Claims {
  readonly tenantId: string | null;
  readonly userId: string | null;
  readonly plan: string | null;
}

/** Why a credential was not accepted; `status` 503 where that could not be found out. */
export interface CredentialRefusal {
  readonly status: 401 | 503;
  readonly detail: string;
}

export type TokenReading = { readonly claims: Claims } | { readonly refusal: CredentialRefusal };

export interface Tokens {
  /** The claims of a token verified before and not expired since: a returning caller costs no signature. */
  known(token: string): Claims | null;
  read(token: string): Promise<TokenReading>;
}

/** Characters of verified tokens kept; a token is dropped when it expires, and after this long in any case. */
const cacheCharactersMax = 8_000_000;
const cacheAgeMsMax = 300_000;
const jwksTimeoutMs = 3_000;

/** Verifies JWTs as the policy says: only its algorithms, its issuer, its audience, and never an expired one. */
export function createTokens(policy: NonNullable<IdentityPolicy['jwt']>, clock: Clock): Tokens {
  const verified = new LRUCache<string, { claims: Claims; untilMs: number }>({
    maxSize: cacheCharactersMax,
    sizeCalculation: (_entry, token) => token.length + 200,
  });
  const verify = createVerify(policy);
  return { known, read };

  function known(token: string): Claims | null {
    const entry = verified.get(token);
    if (entry === undefined) return null;
    if (clock.now() < entry.untilMs) return entry.claims;
    verified.delete(token);
    return null;
  }

  async function read(token: string): Promise<TokenReading> {
    const nowMs = clock.now();
    try {
      const { payload } = await verify(token, {
        algorithms: [...policy.algorithms],
        currentDate: new Date(nowMs),
        ...(policy.issuer === null ? {} : { issuer: policy.issuer }),
        ...(policy.audience === null ? {} : { audience: policy.audience }),
      });
      const reading = readClaims(payload, policy);
      if ('claims' in reading) {
        const untilMs = Math.min(nowMs + cacheAgeMsMax, (payload.exp ?? Infinity) * 1000);
        verified.set(token, { claims: reading.claims, untilMs });
      }
      return reading;
    } catch (error) {
      return { refusal: explain(error, policy) };
    }
  }
}

function createVerify({
  keys,
}: NonNullable<IdentityPolicy['jwt']>): (
  token: string,
  options: JWTVerifyOptions,
) => Promise<JWTVerifyResult> {
  if (keys.kind === 'secret') {
    const secret = createSecretKey(keys.secret);
    return (token, options) => jwtVerify(token, secret, options);
  }
  const jwks = createRemoteJWKSet(new URL(keys.url), { timeoutDuration: jwksTimeoutMs });
  return (token, options) => jwtVerify(token, jwks, options);
}

function readClaims(payload: JWTPayload, policy: NonNullable<IdentityPolicy['jwt']>): TokenReading {
  const tenantClaim = policy.tenantClaims.find(
    (name) => payload[name] !== undefined && payload[name] !== null,
  );
  const tenant = tenantClaim === undefined ? null : idOf(payload[tenantClaim]);
  const userClaim = payload[policy.userClaim];
  const user = userClaim === undefined || userClaim === null ? null : idOf(userClaim);
  const wrongTenant = tenant === null ? null : problemOfTenantId(tenant);
  if (wrongTenant !== null) return unusable(tenantClaim ?? '', wrongTenant);
  const wrongUser = user === null ? null : problemOfId(user);
  if (wrongUser !== null) return unusable(policy.userClaim, wrongUser);
  const plan = payload[policy.planClaim];
  return { claims: { tenantId: tenant, userId: user, plan: typeof plan === 'string' ? plan : null } };
}

function unusable(claim: string, problem: string): TokenReading {
  return { refusal: { status: 401, detail: `The token's claim "${claim}" ${problem}.` } };
}

function idOf(claim: unknown): string {
  return typeof claim === 'string' ? claim : typeof claim === 'number' ? String(claim) : '';
}

function explain(error: unknown, policy: NonNullable<IdentityPolicy['jwt']>): CredentialRefusal {
  if (error instanceof errors.JWTExpired) return refused('The token has expired; obtain a new one.');
  if (error instanceof errors.JWTClaimValidationFailed) return refused(explainClaim(error, policy));
  if (error instanceof errors.JOSEAlgNotAllowed) {
    return refused(`The token's algorithm is not accepted; accepted: ${policy.algorithms.join(', ')}.`);
  }
  if (error instanceof errors.JWSSignatureVerificationFailed) {
    return refused("The token's signature does not verify.");
  }
  if (error instanceof errors.JWKSNoMatchingKey) return refused('The token names a key that is not known.');
  if (error instanceof errors.JWSInvalid || error instanceof errors.JWTInvalid) {
    return refused('The token cannot be read as a JWT.');
  }
  if (policy.keys.kind === 'jwks') {
    return {
      status: 503,
      detail: `The token cannot be verified now: keys unavailable (${messageOf(error)}).`,
    };
  }
  return refused('The token cannot be read as a JWT.');
}

function explainClaim(
  error: errors.JWTClaimValidationFailed,
  policy: NonNullable<IdentityPolicy['jwt']>,
): string {
  switch (error.claim) {
    case 'iss':
      return `The token's issuer (iss) is not ${policy.issuer ?? 'accepted'}.`;
    case 'aud':
      return `The token's audience (aud) is not ${policy.audience ?? 'accepted'}.`;
    case 'nbf':
      return 'The token is not valid yet (nbf).';
    default:
      return `The token's claim "${error.claim}" is missing or wrong.`;
  }
}

function refused(detail: string): CredentialRefusal {
  return { status: 401, detail };
}
