import { LRUCache } from 'lru-cache';
import type { Limit, LimitState } from '../../../shared/domain/limit.ts';
import type { AddressRejection } from '../../../shared/identity/credential-reading.ts';
import { addressPart } from '../../../shared/redis/keys.ts';
import type { Limiter } from '../../../shared/redis/decision/limiter.ts';
import type { Clock } from '../../../shared/runtime/time/clock.ts';

/** State of an address that is over its limit, as Redis last returned it. */
export interface ExhaustedAddress {
  readonly state: LimitState;
  /** Unix milliseconds. Until this time, requests of the address are refused without a call to Redis. */
  readonly untilMs: number;
}

export interface AddressLimitOptions {
  readonly limits: () => readonly [Limit];
  readonly limiter: Pick<Limiter, 'checkWith'>;
  readonly clock: Clock;
}

const addressesMax = 20_000;
/**
 * `find` still returns an address for this long after `untilMs`. The number of verified signatures thus stays bounded
 * if the address sends another invalid credential soon after the wait.
 */
const graceMs = 1_000;

/**
 * A limit per client address, in addition to the limits of plans. Each address (IPv6: each /64 network) has its own
 * window in Redis: all nodes count together, and the limits of plans are not charged. When an address is over its
 * limit, this node refuses its requests without a call to Redis until `untilMs`.
 */
export class AddressLimit {
  readonly #limits: () => readonly [Limit];
  readonly #limiter: Pick<Limiter, 'checkWith'>;
  readonly #clock: Clock;
  readonly #exhausted = new LRUCache<string, ExhaustedAddress>({ max: addressesMax });

  constructor({ limits, limiter, clock }: AddressLimitOptions) {
    this.#limits = limits;
    this.#limiter = limiter;
    this.#clock = clock;
  }

  /**
   * Charges one unit to the address. Calls `onCharged` once, possibly before this method returns: with null if the
   * limit had room for the unit, else with the state of the exhausted address.
   */
  charge(ip: string, onCharged: (exhausted: ExhaustedAddress | null) => void): void {
    const known = this.find(ip);
    if (known !== null && this.#clock.now() < known.untilMs) {
      onCharged(known);
      return;
    }
    const check = { tenantId: null, userId: null, ip, limits: this.#limits(), cost: 1, peek: false };
    this.#limiter.checkWith(check, ({ passed, states: [state] }) => {
      if (passed || state === undefined) {
        onCharged(null);
        return;
      }
      const exhausted = { state, untilMs: this.#clock.now() + (state.retryAfterMs ?? state.windowMs) };
      this.#exhausted.set(addressPart(ip), exhausted);
      onCharged(exhausted);
    });
  }

  /** Returns the state of an address that is over its limit, or was over it within the last `graceMs`; else null. */
  find(ip: string): ExhaustedAddress | null {
    if (this.#exhausted.size === 0) return null;
    const name = addressPart(ip);
    const exhausted = this.#exhausted.get(name);
    if (exhausted === undefined) return null;
    if (this.#clock.now() < exhausted.untilMs + graceMs) return exhausted;
    this.#exhausted.delete(name);
    return null;
  }
}

/** Builds the 429 for an address that is over its limit. */
export function addressRejection(state: LimitState, waitMs: number, detail: string): AddressRejection {
  return { status: 429, detail, state: { ...state, remaining: 0, violated: true, retryAfterMs: waitMs } };
}

/** Converts a wait to whole seconds, at least 1. */
export function waitSeconds(waitMs: number): number {
  return Math.max(1, Math.ceil(waitMs / 1000));
}
