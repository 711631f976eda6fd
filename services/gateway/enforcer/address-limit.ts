import { LRUCache } from 'lru-cache';
import type { Limit, LimitState } from '../../../shared/domain/limit.ts';
import type { AddressRejection } from '../../../shared/identity/credential-reading.ts';
import { addressPart } from '../../../shared/redis/keys.ts';
import type { Limiter } from '../../../shared/redis/decision/limiter.ts';
import type { Clock } from '../../../shared/runtime/time/clock.ts';

/** An address over its limit, as of the latest response of Redis. */
export interface ExhaustedAddress {
  readonly state: LimitState;
  /** Unix milliseconds; until then Redis is not called for the address. */
  readonly untilMs: number;
}

export interface AddressLimitOptions {
  readonly limits: () => readonly [Limit];
  readonly limiter: Pick<Limiter, 'checkWith'>;
  readonly clock: Clock;
}

const addressesMax = 20_000;
/** An address stays listed for this long after `untilMs`, so that one request a second cannot reopen the limit. */
const graceMs = 1_000;

/**
 * A limit of what an address may send, beside the limits of plans. It counts in Redis, in a window of its own per
 * address (IPv6: /64), so that all nodes count together and the limits of plans stay untouched. Requests of an address
 * over the limit are refused from memory until `untilMs`.
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

  /** Charges one unit. Calls `onCharged` once, possibly before it returns: with null where there was room. */
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

  /** The address where it is over the limit or was until a moment ago; else null. */
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

/** The rejection of an address over its limit. */
export function addressRejection(state: LimitState, waitMs: number, detail: string): AddressRejection {
  return { status: 429, detail, state: { ...state, remaining: 0, violated: true, retryAfterMs: waitMs } };
}

/** Whole seconds to wait, at least 1. */
export function waitSeconds(waitMs: number): number {
  return Math.max(1, Math.ceil(waitMs / 1000));
}
