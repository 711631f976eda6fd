import type { Money } from '../../../shared/domain/money.ts';
import type { Amounts } from '../../../shared/domain/usage/quantity.ts';
import type { Reservation } from '../../../shared/redis/reservations/reservation.ts';
import type { Pricing } from '../../../shared/domain/usage/prices.ts';

/**
 * The call of a reservation. Redis stores it with the reservation, so that every node can write the events of the call.
 */
export interface ReservedCall {
  /** Id and source of the call's event; the id is the id of the decision. */
  readonly decisionId: string;
  readonly source: string;
  readonly tenantId: string | null;
  /** Empty if the caller has no user. */
  readonly userId: string;
  /** Time of the call's event, Unix milliseconds. */
  readonly timeMs: number;
  /** Null if the call has no model. */
  readonly model: string | null;
  /** Cost of the call's units by the price of its route: a number or a decimal text. */
  readonly unitCost: number | string;
  readonly units: number;
  readonly owner: ReservationOwner;
}

/** For a peek at the limits of all quantities. */
export const nothingReserved: Reserve = {
  amounts: {},
  cost: null,
  model: null,
  expiresMs: 0,
  owner: 'gateway',
};

/** A reservation of a call that this process serves. */
export interface OpenReservation {
  /** Null if no limit counts the amounts, for example those of a service: the call is only metered. */
  readonly handle: Reservation | null;
  readonly call: ReservedCall;
  readonly reserve: Reserve;
  /** Quantities and prices at the time of the decision, which also apply at the settlement. */
  readonly pricing: Pricing;
  /** True if an earlier call reserved with the same id: this call has charged nothing. */
  readonly repeated: boolean;
}

/**
 * Who may change a reservation. `gateway`: only this process and services, because tenants could otherwise settle their
 * calls for less than the upstream reports. `tenant`: also the tenant, which reserved for itself with `POST /v1/check`.
 */
export type ReservationOwner = 'gateway' | 'service' | 'tenant';

/** What a call reserves beside its units. */
export interface Reserve {
  readonly amounts: Amounts;
  /** Cost of the amounts by the prices of the policy; null without prices. */
  readonly cost: Money | null;
  readonly model: string | null;
  /** How long the reservation stays open if it is not settled. */
  readonly expiresMs: number;
  /** Id that the caller chose, so that a repeated request reserves once; absent: the id of the decision. */
  readonly id?: string;
  readonly owner: ReservationOwner;
}

/** The text that Redis stores for a call. */
export function writeDetails(call: ReservedCall): string {
  return JSON.stringify(call);
}

/** The call of a stored text; null if the text was written by another release. */
export function readDetails(text: string): ReservedCall | null {
  try {
    const call: unknown = JSON.parse(text);
    return isReservedCall(call) ? call : null;
  } catch {
    return null;
  }
}

function isReservedCall(value: unknown): value is ReservedCall {
  if (typeof value !== 'object' || value === null) return false;
  const { decisionId, source, timeMs, units } = value as Partial<Record<keyof ReservedCall, unknown>>;
  return (
    typeof decisionId === 'string' &&
    typeof source === 'string' &&
    typeof timeMs === 'number' &&
    typeof units === 'number'
  );
}
