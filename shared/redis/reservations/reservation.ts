import type { RefusalReason } from '../../domain/decision.ts';
import type { LimitState } from '../../domain/limit.ts';
import type { Amounts } from '../../domain/usage/quantity.ts';
import type { Subject } from '../decision/subjects.ts';
import type { Shape } from '../decision/windows.ts';

/**
 * A check with a reservation charges amounts before a call and stores a record of them, so that a settlement can later replace
 * them by the amounts that the call consumed.
 */
export interface ReservationRequest {
  /** Unique per tenant, 1 to 128 characters. A second check with the same id charges nothing and returns the stored details. */
  readonly id: string;
  /** The reservation counts as expired if it is still open after this time. Its amounts stay charged. */
  readonly expiresMs: number;
  /** Text of the caller, stored in the record, so that every node can respond for this reservation. At most `detailsBytesMax`. */
  readonly details: string;
}

/** `expired`: open and past its end. It can still be extended, settled and cancelled. */
export type ReservationState = 'open' | 'expired' | 'settled' | 'cancelled';

/**
 * A reservation, as `extend`, `settle` and `cancel` need it. The limiter updates it with each of its own calls; the caller only
 * reads it.
 */
export interface Reservation {
  readonly id: string;
  readonly tenantId: string | null;
  /** Names of the quantities of the record. The first is `requests`. */
  readonly quantities: readonly string[];
  /** Amounts that are charged now, by index of `quantities`, as of the last reply for this reservation. */
  charged: readonly number[];
  /** Sequence number of the last extension that was sent. */
  extension: number;
  /** Sequence number of the last settlement that this process has sent or read. */
  settlement: number;
  /** Unix milliseconds, by the clock of Redis. */
  endsAtMs: number;
  /** One record for each slot of the check; the last is the tenant's, which `findReservation` reads. One on a single server. */
  readonly records: readonly ReservationRecord[];
}

/** The record of a reservation in one slot. */
export interface ReservationRecord {
  readonly key: string;
  /** Hash tag of the key. */
  readonly tag: string;
  /** The part of the record that never changes, as `record-bytes.ts` encodes it. */
  readonly bytes: Buffer;
  /** The part of the check in this slot. Null for a reservation that was found by its id. */
  readonly part: { readonly shape: Shape; readonly subjects: readonly Subject[] } | null;
  readonly details: string;
  /** End of the reservation, Unix milliseconds. */
  readonly endsAtMs: number;
}

/** The reservation of a check that passed. */
export interface CheckedReservation {
  readonly handle: Reservation;
  /** The stored reservation, if one with this id existed before: the check has charged nothing. */
  readonly existing: { readonly state: ReservationState; readonly details: string } | null;
}

export interface FoundReservation {
  readonly handle: Reservation;
  readonly state: ReservationState;
  readonly details: string;
  /** Amounts that are charged now, without `requests`. */
  readonly amounts: Amounts;
}

export interface ExtendResult {
  readonly passed: boolean;
  /**
   * Reason of a refusal: a limit, or `not_open` (settled or cancelled), `too_many` (`extensionsMax`), `missing` (Redis has no
   * record of the reservation). Null when the extension passed.
   */
  readonly reason: RefusalReason | 'not_open' | 'too_many' | 'missing' | null;
  /** The states of the reservation's windows, in the order of its limits. */
  readonly states: readonly LimitState[];
  readonly degraded: boolean;
}

export interface SettleResult {
  /**
   * - `applied`: Redis has the amounts.
   * - `superseded`: another settlement came first; `amounts` are its amounts. Read the reservation again to settle it anew.
   * - `waiting`: Redis is unavailable. The settlement is repeated until Redis has applied it.
   * - `missing`: Redis has no record. Nothing was returned.
   * - `dropped`: too many settlements wait. The reserved amounts stay charged.
   */
  readonly outcome: 'applied' | 'superseded' | 'waiting' | 'missing' | 'dropped';
  /** Amounts that are charged now, without `requests`. */
  readonly amounts: Amounts;
}

/** Extends, settles and finds reservations. The promises of `extend`, `settle` and `cancel` never reject. */
export interface Reservations {
  /**
   * Charges further amounts to an open reservation if all of its windows have room, or none. `sequence` numbers the extensions
   * of a reservation from 1: an extension with a number that was charged before passes and charges nothing.
   */
  extend(reservation: Reservation, amounts: Amounts, sequence?: number): Promise<ExtendResult>;
  /**
   * Replaces the charged amounts by `amounts`; a quantity that is absent stays as it is. Units that were charged too much are
   * returned to the windows that still count them. More units than charged are charged now, whether there is room or not.
   */
  settle(reservation: Reservation, amounts: Amounts): Promise<SettleResult>;
  /** Returns all amounts and the cost in requests. */
  cancel(reservation: Reservation): Promise<SettleResult>;
  /** Rejects with REDIS_UNAVAILABLE when Redis does not answer. */
  findReservation(tenantId: string, id: string): Promise<FoundReservation | null>;
}

/** Maximum number of extensions of one reservation. */
export const extensionsMax = 256;
export const detailsBytesMax = 8192;

/** Returns amounts by name of the quantity, without `requests`. */
export function amountsByName({ quantities, charged }: Pick<Reservation, 'quantities' | 'charged'>): Amounts {
  const amounts: Record<string, number> = {};
  for (let index = 1; index < quantities.length; index += 1) {
    amounts[quantities[index] ?? ''] = charged[index] ?? 0;
  }
  return amounts;
}
