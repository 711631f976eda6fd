import type { Identity } from '../../../shared/domain/identity.ts';
import type { Policy } from '../../../shared/domain/policy.ts';
import type { AddressRejection } from '../../../shared/identity/credential-reading.ts';
import { durationInWords } from '../../../shared/domain/time/format-duration.ts';
import type { Limiter } from '../../../shared/redis/decision/limiter.ts';
import type { Clock } from '../../../shared/runtime/time/clock.ts';
import { AddressLimit, addressRejection, waitSeconds } from './address-limit.ts';
import type { ExhaustedAddress } from './address-limit.ts';
import { counted } from '../../../shared/domain/text/counted.ts';

export interface InvalidRequestLimitOptions {
  readonly policy: () => Policy;
  readonly limiter: Pick<Limiter, 'checkWith'>;
  readonly clock: Clock;
}

/**
 * Charges requests that cannot be read or served to their address. They are counted apart from invalid credentials, so
 * that a flood of one kind does not use up the limit of the other.
 */
export class InvalidRequestLimit {
  readonly #limit: AddressLimit;
  readonly #clock: Clock;

  constructor({ policy, limiter, clock }: InvalidRequestLimitOptions) {
    this.#limit = new AddressLimit({ limits: () => policy().identity.invalid, limiter, clock });
    this.#clock = clock;
  }

  /**
   * Charges one request. Calls `onCharged` once, possibly before this method returns: with null if the limit had room,
   * else with the rejection.
   */
  charge(caller: Identity, onCharged: (rejection: AddressRejection | null) => void): void {
    this.#limit.charge(chargedAddress(caller), (exhausted) =>
      onCharged(exhausted === null ? null : rejectionOf(exhausted, exhausted.untilMs - this.#clock.now())),
    );
  }
}

/**
 * Returns the address that is charged. A call of Envoy may name a tenant or a user but no address. Then the tenant or
 * user is charged, under a name that cannot be an address.
 */
function chargedAddress({ ip, tenantId, userId }: Identity): string {
  return ip === '' ? `caller ${tenantId ?? ''}\n${tenantId === null ? (userId ?? '') : ''}` : ip;
}

function rejectionOf({ state }: ExhaustedAddress, waitMs: number): AddressRejection {
  const allowed = `${counted(state.limit, 'request')} that cannot be served per ${durationInWords(state.windowMs)} allowed for this address`;
  const detail = `${allowed}; correct them, or try again in ${waitSeconds(waitMs)} s`;
  return addressRejection(state, waitMs, detail);
}
