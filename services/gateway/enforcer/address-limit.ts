import { LRUCache } from 'lru-cache';
import type { Limit, LimitState } from '../../../shared/domain/limit.ts';
import type { RefusalOfAddress } from '../../../shared/identity/refusal.ts';
import { addressPart } from '../../../shared/redis/keys.ts';
import type { Limiter } from '../../../shared/redis/decision/limiter.ts';
import type { Clock } from '../../../shared/runtime/time/clock.ts';

/** An address over the limit, as this node last heard. */
export interface AddressOver {
  readonly state: LimitState;
  /** Unix milliseconds; until then Redis is not asked about the address. */
  readonly untilMs: number;
}

/** A limit of what an address may send that is refused whatever the limits of its plan say. */
export interface AddressLimit {
  /** Takes a unit. `charged` is called once, maybe at once: with null where there was room. Must not throw. */
  charge(ip: string, charged: (over: AddressOver | null) => void): void;
  /** Null where the address has been within the limit for a moment. */
  overOf(ip: string): AddressOver | null;
}

export interface AddressLimitOptions {
  readonly limits: () => readonly [Limit];
  readonly limiter: Pick<Limiter, 'checkWith'>;
  readonly clock: Clock;
}

const addressesMax = 20_000;
/** After its time an address is watched this much longer, so that one request a second cannot open the limit. */
const watchedMs = 1_000;

/**
 * Counts in Redis, in a window of its own per address (IPv6: /64), so that all nodes count together and limits of plans
 * stay untouched. An address over the limit is answered from memory until its time has come.
 */
export function createAddressLimit({ limits, limiter, clock }: AddressLimitOptions): AddressLimit {
  const overs = new LRUCache<string, AddressOver>({ max: addressesMax });
  return { charge, overOf };

  function charge(ip: string, charged: (over: AddressOver | null) => void): void {
    const known = overOf(ip);
    if (known !== null && clock.now() < known.untilMs) {
      charged(known);
      return;
    }
    const request = { tenantId: null, userId: null, ip, limits: limits(), cost: 1, peek: false };
    limiter.checkWith(request, ({ passed, states: [state] }) => {
      if (passed || state === undefined) {
        charged(null);
        return;
      }
      const over = { state, untilMs: clock.now() + (state.retryAfterMs ?? state.windowMs) };
      overs.set(addressPart(ip), over);
      charged(over);
    });
  }

  function overOf(ip: string): AddressOver | null {
    if (overs.size === 0) return null;
    const name = addressPart(ip);
    const over = overs.get(name);
    if (over === undefined) return null;
    if (clock.now() < over.untilMs + watchedMs) return over;
    overs.delete(name);
    return null;
  }
}

/** The refusal of an address over its limit. */
export function refusalOfAddress(state: LimitState, waitMs: number, detail: string): RefusalOfAddress {
  return { status: 429, detail, state: { ...state, remaining: 0, violated: true, retryAfterMs: waitMs } };
}

/** Whole seconds to wait, at least 1. */
export function waitSeconds(waitMs: number): number {
  return Math.max(1, Math.ceil(waitMs / 1000));
}
