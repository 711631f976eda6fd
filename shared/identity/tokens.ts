import { createSecretKey } from 'node:crypto';
import type { KeyObject } from 'node:crypto';
import { decodeJwt, decodeProtectedHeader, errors, jwtVerify } from 'jose';
import type { CryptoKey, JWSHeaderParameters, JWTPayload, JWTVerifyOptions } from 'jose';
import { LRUCache } from 'lru-cache';
import type { JwtPolicy } from '../domain/policy.ts';
import type { Clock } from '../runtime/time/clock.ts';
import { readClaims } from './claims.ts';
import { explainToken } from './explain-token.ts';
import type { KeySearch, KeySet, VerificationKey } from './key-set.ts';
import type { IdentityMetrics } from './metrics.ts';
import type { CallerReading, CredentialRejection, RefusedReading } from './credential-reading.ts';
import { badCredential, undecidedCredential } from './credential-reading.ts';

/**
 * Called before a signature is verified with a public key, which is expensive. Returns a rejection to refuse the token
 * without verification. `claimed` is the encoded payload of the token, so tokens with equal claims have the same
 * `claimed`.
 */
export type Admission = (address: string, claimed: string) => CredentialRejection | null;

export interface Tokens {
  /**
   * Returns the cached result for a verified token if its key is still published and the token has not expired;
   * otherwise null.
   */
  verified(token: string): CallerReading | null;
  read(token: string, address: string): Promise<CallerReading | RefusedReading>;
}

/**
 * Bounds of the cache of verified tokens: the sum of their lengths, and the time after which a token is verified again.
 */
const cacheCharactersMax = 8_000_000;
const cacheAgeMsMax = 300_000;
/** Time for which a token with an invalid signature is refused without verification. */
const forgedMs = 10_000;
const forgedCharactersMax = 1_000_000;
/** Largest number of keys that are tried for a token without a key id. */
const keysTriedMax = 4;

interface Verified {
  readonly reading: CallerReading;
  readonly untilMs: number;
  readonly key: { readonly live: boolean };
}

export interface TokensOptions {
  readonly policy: JwtPolicy;
  /** Null if the policy has a shared secret. */
  readonly keySet: KeySet | null;
  readonly admission: Admission;
  readonly clock: Clock;
  readonly metrics: Pick<IdentityMetrics, 'verifications'>;
}

/**
 * Verifies that a JWT meets the policy: algorithm, key, issuer, audience and validity period. A key, or the URL of a
 * key, inside a token (`jwk`, `jku`, `x5u`) is never used. Checks that need no signature come first, so that an expired
 * or unreadable token causes neither a fetch nor a verification.
 */
export function createTokens({ policy, keySet, admission, clock, metrics }: TokensOptions): Tokens {
  const cache = new LRUCache<string, Verified>({
    maxSize: cacheCharactersMax,
    sizeCalculation: (_entry, token) => token.length + 200,
  });
  const forged = new LRUCache<string, number>({
    maxSize: forgedCharactersMax,
    sizeCalculation: (_untilMs, token) => token.length + 200,
  });
  const algorithms = new Set(policy.algorithms);
  const secret = policy.keys.kind === 'secret' ? sharedKey(policy.keys.secret) : null;
  return { verified, read };

  function verified(token: string): CallerReading | null {
    const entry = cache.get(token);
    if (entry === undefined) return null;
    if (entry.key.live && clock.now() < entry.untilMs) return entry.reading;
    cache.delete(token);
    return null;
  }

  async function read(token: string, address: string): Promise<CallerReading | RefusedReading> {
    const nowMs = clock.now();
    try {
      const header = decodeProtectedHeader(token) as JWSHeaderParameters;
      if (!algorithms.has(header.alg ?? '')) throw new errors.JOSEAlgNotAllowed();
      const problem = problemOfExpiry(decodeJwt(token), nowMs);
      if (problem !== null) return refused(badCredential(problem));
      if (secret !== null) return accept(token, await verify(token, secret.key, nowMs), secret, nowMs);
      if (keySet === null) return refused(badCredential('Tokens are not accepted here; use an API key.'));
      const search = await keySet.find(header);
      if (search.kind !== 'found') return refused(notFound(search));
      return await admitted(token, header, search.keys, address, nowMs);
    } catch (error) {
      return refused(explainToken(error, policy));
    }
  }

  /**
   * Refuses a token at once if its verification failed a moment ago, so that a client in a loop costs little CPU time.
   */
  async function admitted(
    token: string,
    header: JWSHeaderParameters,
    keys: readonly VerificationKey[],
    address: string,
    nowMs: number,
  ): Promise<CallerReading | RefusedReading> {
    if ((forged.get(token) ?? 0) > nowMs) throw new errors.JWSSignatureVerificationFailed();
    const rejection = admission(address, token.slice(token.indexOf('.') + 1, token.lastIndexOf('.')));
    if (rejection !== null) {
      metrics.verifications.inc({ result: 'postponed' });
      return refused(rejection);
    }
    try {
      return await tryKeys(token, header, keys, nowMs);
    } catch (error) {
      if (error instanceof errors.JWSSignatureVerificationFailed) forged.set(token, nowMs + forgedMs);
      throw error;
    }
  }

  async function tryKeys(
    token: string,
    header: JWSHeaderParameters,
    keys: readonly VerificationKey[],
    nowMs: number,
  ): Promise<CallerReading | RefusedReading> {
    let tried = 0;
    let mismatch: unknown = new errors.JWKSNoMatchingKey();
    for (const key of keys) {
      const publicKey = await key.resolve(header).catch(() => null);
      if (publicKey === null) continue;
      if (++tried > keysTriedMax) break;
      try {
        return accept(token, await verify(token, publicKey, nowMs), key, nowMs);
      } catch (error) {
        if (!(error instanceof errors.JWSSignatureVerificationFailed)) throw error;
        mismatch = error;
      }
    }
    throw mismatch;
  }

  async function verify(token: string, key: KeyObject | CryptoKey, nowMs: number): Promise<JWTPayload> {
    const options: JWTVerifyOptions = {
      algorithms: [...policy.algorithms],
      currentDate: new Date(nowMs),
      clockTolerance: policy.leewayMs / 1000,
      ...(policy.issuer === null ? {} : { issuer: policy.issuer }),
      ...(policy.audience === null ? {} : { audience: policy.audience }),
    };
    try {
      const { payload } = await jwtVerify(token, key, options);
      metrics.verifications.inc({ result: 'valid' });
      return payload;
    } catch (error) {
      metrics.verifications.inc({ result: 'invalid' });
      throw error;
    }
  }

  function accept(
    token: string,
    payload: JWTPayload,
    key: { readonly live: boolean },
    nowMs: number,
  ): CallerReading | RefusedReading {
    const read = readClaims(payload, policy);
    if ('problem' in read) return refused(badCredential(read.problem));
    const untilMs = endOf(payload);
    const reading: CallerReading = { kind: 'caller', method: 'jwt', claims: read.claims, untilMs };
    // If the issuer removed the key during the verification, the token is not cached.
    if (key.live) cache.set(token, { reading, key, untilMs: Math.min(nowMs + cacheAgeMsMax, untilMs) });
    return reading;
  }

  function problemOfExpiry({ exp }: JWTPayload, nowMs: number): string | null {
    if (exp === undefined) {
      return policy.expiry === 'required'
        ? 'The token has no expiry (exp); only tokens that expire are accepted.'
        : null;
    }
    if (!Number.isFinite(exp)) return "The token's expiry (exp) is not a number.";
    return endOf({ exp }) <= nowMs ? 'The token has expired; obtain a new one.' : null;
  }

  /** Unix milliseconds from which the token is refused; a very large number if the token has no expiry. */
  function endOf({ exp }: JWTPayload): number {
    return exp === undefined ? Number.MAX_SAFE_INTEGER : exp * 1000 + policy.leewayMs;
  }
}

function sharedKey(secret: Uint8Array): { readonly live: true; readonly key: KeyObject } {
  return { live: true, key: createSecretKey(secret) };
}

function refused(rejection: CredentialRejection): RefusedReading {
  return { kind: 'refused', rejection };
}

function notFound(search: Exclude<KeySearch, { kind: 'found' }>): CredentialRejection {
  return search.kind === 'unknown'
    ? badCredential('The token names an unknown key.')
    : undecidedCredential(`The token cannot be verified now: keys unavailable (${search.reason}).`);
}
