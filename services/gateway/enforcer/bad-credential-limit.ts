import { hash } from 'node:crypto';
import { LRUCache } from 'lru-cache';
import type { LimitState } from '../../../shared/domain/limit.ts';
import type { Policy } from '../../../shared/domain/policy.ts';
import { badCredential } from '../../../shared/identity/credential-reading.ts';
import type { CredentialRejection, AddressRejection } from '../../../shared/identity/credential-reading.ts';
import { durationInWords } from '../../../shared/domain/time/format-duration.ts';
import { addressPart } from '../../../shared/redis/keys.ts';
import type { Limiter } from '../../../shared/redis/decision/limiter.ts';
import type { Clock } from '../../../shared/runtime/time/clock.ts';
import { AddressLimit, addressRejection, waitSeconds } from './address-limit.ts';
import { anonymous } from './identify.ts';
import type { Identified } from './identify.ts';
import type { GatewayMetrics } from '../metrics.ts';

export interface BadCredentialLimitOptions {
  readonly policy: () => Policy;
  readonly limiter: Pick<Limiter, 'checkWith'>;
  readonly clock: Clock;
  readonly metrics: Pick<GatewayMetrics, 'credentialsRefused'>;
}

/**
 * Number of signatures, by the claims of their tokens, that were verified for one address over its limit in the second
 * that began at `secondMs`.
 */
interface Verifications {
  secondMs: number;
  readonly byClaims: Map<string, number>;
}

const addressesMax = 20_000;
const claimsNameLength = 16;
/**
 * Bounds of the signatures that are verified each second for an address over its limit: tokens with at most
 * `claimsPerSecondMax` different claims, and at most `verificationsOfClaimsMax` tokens with the same claims. Some
 * tokens are verified because callers with valid tokens may share the address. The second bound prevents many forgeries
 * of one token from using up the verifications of other tokens. A token that was verified before needs no verification.
 */
const claimsPerSecondMax = 50;
const verificationsOfClaimsMax = 2;

/**
 * Bounds the work that invalid credentials cause. Each invalid credential is charged to its address. When an address is
 * over its limit, the signatures of its tokens are verified only up to `claimsPerSecondMax` and
 * `verificationsOfClaimsMax`. API keys, service tokens, shared-secret tokens and tokens that were verified before are
 * always checked, because their check costs little. If they are valid, they are accepted even if the address is over
 * its limit.
 */
export class BadCredentialLimit {
  readonly #limit: AddressLimit;
  readonly #clock: Clock;
  readonly #metrics: Pick<GatewayMetrics, 'credentialsRefused'>;
  readonly #verifications = new LRUCache<string, Verifications>({ max: addressesMax });

  constructor({ policy, limiter, clock, metrics }: BadCredentialLimitOptions) {
    this.#limit = new AddressLimit({ limits: () => policy().identity.refused, limiter, clock });
    this.#clock = clock;
    this.#metrics = metrics;
  }

  /**
   * Charges a caller that was rejected with 401 to its address. If the address is over its limit, the 401 becomes a
   * 429. A caller without a rejection is returned unchanged and charged nothing.
   */
  charge(identified: Identified): Identified | Promise<Identified> {
    const { rejection } = identified;
    if (rejection === null) return identified;
    if (rejection.status !== 401) return this.#counted(identified);
    const { ip } = identified.identity;
    return new Promise((resolve) => {
      this.#limit.charge(ip, (exhausted) => {
        const charged =
          exhausted === null
            ? identified
            : rejectedAt(ip, tooManyRejection(exhausted.state, exhausted.untilMs - this.#clock.now()));
        resolve(this.#counted(charged));
      });
    });
  }

  /** Rejects a caller without credentials on a route that needs them, and charges its address. */
  rejectAnonymous(ip: string, detail: string): Identified | Promise<Identified> {
    return this.charge(rejectedAt(ip, badCredential(detail)));
  }

  /** Returns null if a signature from this address may be verified now, else the rejection of the token. */
  admit(ip: string, claims: string): CredentialRejection | null {
    const exhausted = this.#limit.find(ip);
    if (exhausted === null) return null;
    const nowMs = this.#clock.now();
    const { secondMs, byClaims } = this.#verificationsOf(ip, nowMs);
    const name = hash('sha256', claims, 'base64url').slice(0, claimsNameLength);
    const count = byClaims.get(name) ?? 0;
    if (count >= verificationsOfClaimsMax || (count === 0 && byClaims.size >= claimsPerSecondMax))
      return notExaminedRejection(exhausted.state, secondMs + 1_000 - nowMs);
    byClaims.set(name, count + 1);
    return null;
  }

  #verificationsOf(ip: string, nowMs: number): Verifications {
    const name = addressPart(ip);
    let verifications = this.#verifications.get(name);
    if (verifications === undefined) {
      verifications = { secondMs: nowMs, byClaims: new Map() };
      this.#verifications.set(name, verifications);
    } else if (nowMs >= verifications.secondMs + 1_000) {
      verifications.secondMs = nowMs;
      verifications.byClaims.clear();
    }
    return verifications;
  }

  #counted(identified: Identified): Identified {
    const { rejection } = identified;
    if (rejection !== null) this.#metrics.credentialsRefused.inc({ status: rejection.status });
    return identified;
  }
}

function rejectedAt(ip: string, rejection: CredentialRejection): Identified {
  return { identity: anonymous(ip), rejection };
}

function tooManyRejection(state: LimitState, waitMs: number): AddressRejection {
  const allowed = `${state.limit} bad credentials per ${durationInWords(state.windowMs)} allowed for this address`;
  const detail = `${allowed}; send a good one, or try again in ${waitSeconds(waitMs)} s`;
  return addressRejection(state, waitMs, detail);
}

function notExaminedRejection(state: LimitState, waitMs: number): AddressRejection {
  const why = 'Too many bad credentials came from this address, so this one was not examined';
  return addressRejection(state, waitMs, `${why}; try again in ${waitSeconds(waitMs)} s`);
}
