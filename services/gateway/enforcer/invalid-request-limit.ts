import type { Identity } from '../../../shared/domain/identity.ts';
import type { Policy } from '../../../shared/domain/policy.ts';
import type { RefusalOfAddress } from '../../../shared/identity/refusal.ts';
import { durationInWords } from '../../../shared/domain/time/format-duration.ts';
import type { Limiter } from '../../../shared/redis/decision/limiter.ts';
import type { Clock } from '../../../shared/runtime/time/clock.ts';
import { createAddressLimit, refusalOfAddress, waitSeconds } from './address-limit.ts';
import type { AddressOver } from './address-limit.ts';

/** Charges a request that cannot be served to its address: null where there was room, else the refusal of the address. */
export type ChargeInvalid = (caller: Identity, charged: (refusal: RefusalOfAddress | null) => void) => void;

export interface InvalidRequestsOptions {
  readonly policy: () => Policy;
  readonly limiter: Pick<Limiter, 'checkWith'>;
  readonly clock: Clock;
}

/** What requests that cannot be read or served cost. Counted apart from bad credentials: one flood says nothing of the other. */
export function createInvalidRequests({ policy, limiter, clock }: InvalidRequestsOptions): ChargeInvalid {
  const limit = createAddressLimit({ limits: () => policy().identity.invalid, limiter, clock });
  return (caller, charged) => {
    limit.charge(addressOf(caller), (over) =>
      charged(over === null ? null : refusalOf(over, over.untilMs - clock.now())),
    );
  };
}

/** Envoy may name a tenant or a user without an address: that one then stands for it, by a name that no address has. */
function addressOf({ ip, tenantId, userId }: Identity): string {
  return ip === '' ? `caller ${tenantId ?? ''}\n${tenantId === null ? (userId ?? '') : ''}` : ip;
}

function refusalOf({ state }: AddressOver, waitMs: number): RefusalOfAddress {
  const allowed = `${state.limit} requests that cannot be served per ${durationInWords(state.windowMs)} allowed for this address`;
  const detail = `${allowed}; correct them, or try again in ${waitSeconds(waitMs)} s`;
  return refusalOfAddress(state, waitMs, detail);
}
