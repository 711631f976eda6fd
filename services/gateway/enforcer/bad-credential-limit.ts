import { hash } from 'node:crypto';
import { LRUCache } from 'lru-cache';
import type { LimitState } from '../../../shared/domain/limit.ts';
import type { Policy } from '../../../shared/domain/policy.ts';
import { badCredential } from '../../../shared/identity/refusal.ts';
import type { CredentialRefusal, RefusalOfAddress } from '../../../shared/identity/refusal.ts';
import type { Admission } from '../../../shared/identity/tokens.ts';
import { durationInWords } from '../../../shared/domain/time/format-duration.ts';
import { addressPart } from '../../../shared/redis/keys.ts';
import type { Limiter } from '../../../shared/redis/decision/limiter.ts';
import type { Clock } from '../../../shared/runtime/time/clock.ts';
import { createAddressLimit, refusalOfAddress, waitSeconds } from './address-limit.ts';
import { anonymous } from './identify.ts';
import type { Identified } from './identify.ts';
import type { GatewayMetrics } from '../metrics.ts';

/** Bounds what bad credentials cost: each is charged to its address, and beyond the limit they are not examined. */
export interface RefusedCredentials {
  /** Charges a 401 to its address. Beyond the limit it becomes a 429; good credentials pass unchanged. */
  charge(found: Identified): Identified | Promise<Identified>;
  /** A caller without credentials where they are needed, charged alike. */
  refuse(ip: string, detail: string): Identified | Promise<Identified>;
  /** Whether a signature from this address may be checked with a public key now: null, or the refusal. */
  readonly admit: Admission;
}

export interface RefusedCredentialsOptions {
  readonly policy: () => Policy;
  readonly limiter: Pick<Limiter, 'checkWith'>;
  readonly clock: Clock;
  readonly metrics: Pick<GatewayMetrics, 'credentialsRefused'>;
}

/** Signatures that were checked of an address over its limit, by what their tokens claim, in the second that began at `secondMs`. */
interface Checks {
  secondMs: number;
  readonly checked: Map<string, number>;
}

const addressesMax = 20_000;
const claimsNameLength = 16;
/**
 * What is checked each second for an address over its limit: tokens of so many different claims, so many of each.
 * Callers behind one address cannot be told apart before the check, and the good ones among them must get in: many
 * forgeries of one token take no turn from the others, and a token that was good once is remembered and needs none.
 */
const claimsPerSecondMax = 50;
const checksOfSameClaimsMax = 2;

/**
 * API keys, service tokens, shared-secret tokens and tokens seen before are examined always: they cost next to nothing,
 * and a good one works whatever else came from its address.
 */
export function createRefusedCredentials(options: RefusedCredentialsOptions): RefusedCredentials {
  const { policy, limiter, clock, metrics } = options;
  const limit = createAddressLimit({ limits: () => policy().identity.refused, limiter, clock });
  const checks = new LRUCache<string, Checks>({ max: addressesMax });
  return { charge, refuse: (ip, detail) => charge(refusedAt(ip, badCredential(detail))), admit };

  function charge(found: Identified): Identified | Promise<Identified> {
    const { refusal } = found;
    if (refusal === null) return found;
    if (refusal.status !== 401) return counted(found);
    const { ip } = found.identity;
    return new Promise((resolve) => {
      limit.charge(ip, (over) => {
        resolve(
          counted(over === null ? found : refusedAt(ip, tooMany(over.state, over.untilMs - clock.now()))),
        );
      });
    });
  }

  function admit(ip: string, claimed: string): CredentialRefusal | null {
    const over = limit.overOf(ip);
    if (over === null) return null;
    const nowMs = clock.now();
    const { secondMs, checked } = checksOf(ip, nowMs);
    const name = hash('sha256', claimed, 'base64url').slice(0, claimsNameLength);
    const same = checked.get(name) ?? 0;
    if (same >= checksOfSameClaimsMax || (same === 0 && checked.size >= claimsPerSecondMax))
      return notExamined(over.state, secondMs + 1_000 - nowMs);
    checked.set(name, same + 1);
    return null;
  }

  function checksOf(ip: string, nowMs: number): Checks {
    const name = addressPart(ip);
    let known = checks.get(name);
    if (known === undefined) checks.set(name, (known = { secondMs: nowMs, checked: new Map() }));
    else if (nowMs >= known.secondMs + 1_000) {
      known.secondMs = nowMs;
      known.checked.clear();
    }
    return known;
  }

  function counted(found: Identified): Identified {
    if (found.refusal !== null) metrics.credentialsRefused.inc({ status: found.refusal.status });
    return found;
  }
}

function refusedAt(ip: string, refusal: CredentialRefusal): Identified {
  return { identity: anonymous(ip), refusal };
}

function tooMany(state: LimitState, waitMs: number): RefusalOfAddress {
  const allowed = `${state.limit} bad credentials per ${durationInWords(state.windowMs)} allowed for this address`;
  const detail = `${allowed}; send a good one, or try again in ${waitSeconds(waitMs)} s`;
  return refusalOfAddress(state, waitMs, detail);
}

function notExamined(state: LimitState, waitMs: number): RefusalOfAddress {
  const why = 'Too many bad credentials came from this address, so this one was not examined';
  return refusalOfAddress(state, waitMs, `${why}; try again in ${waitSeconds(waitMs)} s`);
}
