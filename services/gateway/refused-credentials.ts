import { hash } from 'node:crypto';
import { LRUCache } from 'lru-cache';
import type { Limit, LimitState } from '../../shared/domain/limit.ts';
import type { Policy } from '../../shared/domain/policy.ts';
import { badCredential } from '../../shared/identity/refusal.ts';
import type { CredentialRefusal, RefusalOfAddress } from '../../shared/identity/refusal.ts';
import type { Admission } from '../../shared/identity/tokens.ts';
import { spokenDuration } from '../../shared/policy/duration.ts';
import { addressPart } from '../../shared/redis/keys.ts';
import type { Limiter } from '../../shared/redis/limiter.ts';
import type { Clock } from '../../shared/runtime/clock.ts';
import { anonymous } from './identify.ts';
import type { Identified } from './identify.ts';
import type { GatewayMetrics } from './metrics.ts';

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
  readonly limiter: Pick<Limiter, 'ask'>;
  readonly clock: Clock;
  readonly metrics: Pick<GatewayMetrics, 'credentialsRefused'>;
}

/** An address over its limit: until when, as this node last heard. Until then nobody has to be asked about it. */
interface Over {
  readonly state: LimitState;
  readonly untilMs: number;
  /** Signatures checked although it is over, by what their tokens claim, in the second that began at `secondMs`. */
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
/** After its time an address is watched this much longer, so that one bad credential a second cannot open the gap. */
const watchedMs = 1_000;

/**
 * Counts in Redis, in a limit of its own per address (IPv6: /64), so that all nodes count together and limits of plans
 * stay untouched. API keys, service tokens, shared-secret tokens and tokens seen before are examined always: they cost
 * next to nothing, and a good one works whatever else came from its address.
 */
export function createRefusedCredentials(options: RefusedCredentialsOptions): RefusedCredentials {
  const { policy, limiter, clock, metrics } = options;
  const overs = new LRUCache<string, Over>({ max: addressesMax });
  return { charge, refuse: (ip, detail) => charge(refusedAt(ip, badCredential(detail))), admit };

  function charge(found: Identified): Identified | Promise<Identified> {
    const { refusal } = found;
    if (refusal === null) return found;
    if (refusal.status !== 401) return counted(found);
    const { ip } = found.identity;
    const over = overOf(ip);
    const nowMs = clock.now();
    if (over !== null && nowMs < over.untilMs)
      return counted(refusedAt(ip, tooMany(over.state, over.untilMs - nowMs)));
    return new Promise((resolve) => take(found, (charged) => resolve(counted(charged))));
  }

  function take(found: Identified, done: (charged: Identified) => void): void {
    const { ip } = found.identity;
    const limits: readonly Limit[] = policy().identity.refused;
    limiter.ask({ tenantId: null, userId: null, ip, limits, cost: 1, peek: false }, ({ passed, states }) => {
      const [state] = states;
      if (passed || state === undefined) {
        done(found);
        return;
      }
      const waitMs = state.retryAfterMs ?? state.windowMs;
      const name = addressPart(ip);
      const { secondMs = 0, checked = new Map<string, number>() } = overs.get(name) ?? {};
      overs.set(name, { state, untilMs: clock.now() + waitMs, secondMs, checked });
      done(refusedAt(ip, tooMany(state, waitMs)));
    });
  }

  function admit(ip: string, claimed: string): CredentialRefusal | null {
    const over = overOf(ip);
    if (over === null) return null;
    const { checked } = over;
    const nowMs = clock.now();
    if (nowMs >= over.secondMs + 1_000) {
      over.secondMs = nowMs;
      checked.clear();
    }
    const name = hash('sha256', claimed, 'base64url').slice(0, claimsNameLength);
    const same = checked.get(name) ?? 0;
    if (same >= checksOfSameClaimsMax || (same === 0 && checked.size >= claimsPerSecondMax))
      return notExamined(over.state, over.secondMs + 1_000 - nowMs);
    checked.set(name, same + 1);
    return null;
  }

  function overOf(ip: string): Over | null {
    if (overs.size === 0) return null;
    const name = addressPart(ip);
    const over = overs.get(name);
    if (over === undefined) return null;
    if (clock.now() < over.untilMs + watchedMs) return over;
    overs.delete(name);
    return null;
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
  const allowed = `${state.limit} bad credentials per ${spokenDuration(state.windowMs)} allowed for this address`;
  return refusalOf(state, waitMs, `${allowed}; send a good one, or try again in ${secondsOf(waitMs)} s`);
}

function notExamined(state: LimitState, waitMs: number): RefusalOfAddress {
  const why = 'Too many bad credentials came from this address, so this one was not examined';
  return refusalOf(state, waitMs, `${why}; try again in ${secondsOf(waitMs)} s`);
}

function refusalOf(state: LimitState, waitMs: number, detail: string): RefusalOfAddress {
  return { status: 429, detail, state: { ...state, remaining: 0, violated: true, retryAfterMs: waitMs } };
}

function secondsOf(waitMs: number): number {
  return Math.max(1, Math.ceil(waitMs / 1000));
}
