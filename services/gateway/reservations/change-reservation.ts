import type { Identity } from '../../../shared/domain/identity.ts';
import type { Pricing } from '../../../shared/domain/usage/prices.ts';
import type { Amounts } from '../../../shared/domain/usage/quantity.ts';
import { amountsByName } from '../../../shared/redis/reservations/reservation.ts';
import type { FoundReservation, SettleResult } from '../../../shared/redis/reservations/reservation.ts';
import type { Enforcer } from '../enforcer/enforcer.ts';
import type { CallResponse } from '../metering/call-events.ts';
import type { ReservationToChange } from './call-reservations.ts';
import { readDetails } from './reserved-call.ts';
import { readStatedUsage } from './stated-usage.ts';
import type { StatedUsage } from './stated-usage.ts';

/** A change that an application sends for a reservation of a check. */
export interface ReservationChange {
  readonly action: 'settle' | 'extend' | 'cancel';
  readonly id: string;
  /** Settle: the actual usage. Extend: the additional usage. Cancel: empty. */
  readonly usage: StatedUsage;
  /** Null: the model of the reservation. */
  readonly model: string | null;
  readonly response: CallResponse | null;
}

export type ReservationOutcome =
  | {
      readonly kind: 'changed';
      readonly state: 'open' | 'settled' | 'cancelled';
      readonly amounts: Amounts;
      readonly result: SettleResult['outcome'];
      readonly pricing: Pricing;
    }
  | { readonly kind: 'invalid' | 'conflict' | 'refused'; readonly detail: string }
  | { readonly kind: 'forbidden' | 'unknown' | 'unavailable' };

/**
 * Changes a reservation that was found by its id, on any node. Prices are those of the policy in force, because the
 * reservation stores amounts and no prices.
 */
export async function changeReservation(
  enforcer: Enforcer,
  caller: Identity,
  tenantId: string,
  change: ReservationChange,
): Promise<ReservationOutcome> {
  let found: FoundReservation | null;
  try {
    found = await enforcer.reservations.find(tenantId, change.id);
  } catch {
    return { kind: 'unavailable' };
  }
  const call = found === null ? null : readDetails(found.details);
  if (found === null || call === null) return { kind: 'unknown' };
  const isOwn = call.owner === 'tenant' && (caller.userId === null || caller.userId === call.userId);
  if (caller.service === null && !isOwn) return { kind: 'forbidden' };
  const reservation = { handle: found.handle, call, pricing: enforcer.policy() };
  switch (change.action) {
    case 'settle':
      return settle(enforcer, reservation, change);
    case 'extend':
      return extend(enforcer, reservation, change);
    case 'cancel':
      return changed(reservation, 'cancelled', await enforcer.reservations.cancel(reservation));
  }
}

type Found = ReservationToChange & { readonly handle: FoundReservation['handle'] };

async function settle(
  enforcer: Enforcer,
  reservation: Found,
  { usage, model, response }: ReservationChange,
): Promise<ReservationOutcome> {
  const read = readStatedUsage(enforcer.policy(), model ?? reservation.call.model, usage);
  if (typeof read === 'string') return { kind: 'invalid', detail: read };
  const result = await enforcer.reservations.settle(reservation, { ...read, source: 'reported' }, response);
  return changed(reservation, 'settled', result);
}

function changed(
  { handle, pricing }: Found,
  state: 'settled' | 'cancelled',
  result: SettleResult['outcome'],
): ReservationOutcome {
  if (result === 'superseded')
    return { kind: 'conflict', detail: 'Another change of this reservation came first; send it again.' };
  return { kind: 'changed', state, amounts: amountsByName(handle), result, pricing };
}

async function extend(
  enforcer: Enforcer,
  reservation: Found,
  { usage, model }: ReservationChange,
): Promise<ReservationOutcome> {
  const read = readStatedUsage(enforcer.policy(), model ?? reservation.call.model, usage);
  if (typeof read === 'string') return { kind: 'invalid', detail: read };
  const { passed, reason } = await enforcer.reservations.extend(reservation, read.amounts, null);
  const { handle, pricing } = reservation;
  if (passed)
    return { kind: 'changed', state: 'open', amounts: amountsByName(handle), result: 'applied', pricing };
  switch (reason) {
    case 'not_open':
      return { kind: 'conflict', detail: 'The reservation is settled or cancelled.' };
    case 'too_many':
      return { kind: 'conflict', detail: 'The reservation was extended too often.' };
    case 'missing':
      return { kind: 'unknown' };
    default:
      return {
        kind: 'refused',
        detail: 'A limit has no room for this extension; the reservation stays as it is.',
      };
  }
}
