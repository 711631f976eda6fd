import { callById } from '../../../shared/clickhouse/queries/reservations.ts';
import type { ClickHouseReader } from '../../../shared/clickhouse/client.ts';
import { costOf, noPrice } from '../../../shared/domain/money.ts';
import type { Identity } from '../../../shared/domain/identity.ts';
import type { Pricing } from '../../../shared/domain/usage/prices.ts';
import type { Amounts } from '../../../shared/domain/usage/quantity.ts';
import { amountsByName } from '../../../shared/redis/reservations/reservation.ts';
import type { SettleResult } from '../../../shared/redis/reservations/reservation.ts';
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

/** Who changes a reservation, and where it is found if Redis has lost it. */
export interface ChangeSource {
  readonly enforcer: Enforcer;
  readonly caller: Identity;
  readonly tenantId: string;
  readonly clickhouse: ClickHouseReader;
}

/**
 * Changes a reservation that was found by its id, on any node. Prices are those of the policy in force, because the
 * reservation stores amounts and no prices.
 *
 * If Redis has no record of the reservation (its node was killed before it counted the call there, or Redis lost its data),
 * a service may settle or cancel the event of the call. The counters in Redis then keep what they have.
 */
export async function changeReservation(
  source: ChangeSource,
  change: ReservationChange,
): Promise<ReservationOutcome> {
  const { enforcer, caller } = source;
  let reservation: ReservationToChange | null;
  try {
    reservation = (await recorded(source, change.id)) ?? (await stored(source, change));
  } catch {
    return { kind: 'unavailable' };
  }
  if (reservation === null) return { kind: 'unknown' };
  const { call } = reservation;
  const isOwn = call.owner === 'tenant' && (caller.userId === null || caller.userId === call.userId);
  if (caller.service === null && !isOwn) return { kind: 'forbidden' };
  switch (change.action) {
    case 'settle':
      return settle(enforcer, reservation, change);
    case 'extend':
      return extend(enforcer, reservation, change);
    case 'cancel':
      return changed(reservation, 'cancelled', await enforcer.reservations.cancel(reservation), {});
  }
}

/** The reservation as Redis has it; null if Redis has no record. */
async function recorded(
  { enforcer, tenantId }: ChangeSource,
  id: string,
): Promise<ReservationToChange | null> {
  const found = await enforcer.reservations.find(tenantId, id);
  const call = found === null ? null : readDetails(found.details);
  return found === null || call === null ? null : { handle: found.handle, call, pricing: enforcer.policy() };
}

/** The reservation as the event of its call states it, for a service that settles or cancels it; otherwise null. */
async function stored(
  { enforcer, caller, tenantId, clickhouse }: ChangeSource,
  { action, id }: ReservationChange,
): Promise<ReservationToChange | null> {
  if (caller.service === null || action === 'extend') return null;
  const event = await callById(clickhouse, tenantId, id);
  if (event === null) return null;
  const policy = enforcer.policy();
  const route = policy.routes.find(({ match }) => match === event.route);
  const units = event.units ?? 0;
  const call = {
    decisionId: id.toLowerCase(),
    source: event.source,
    tenantId,
    userId: event.user_id,
    timeMs: event.time_ms,
    model: event.model === '' ? null : event.model,
    unitCost: costOf(units, route?.unitPrice ?? noPrice),
    units,
    owner: 'gateway' as const,
  };
  return { handle: null, call, pricing: policy };
}

async function settle(
  enforcer: Enforcer,
  reservation: ReservationToChange,
  { usage, model, response }: ReservationChange,
): Promise<ReservationOutcome> {
  const read = readStatedUsage(enforcer.policy(), model ?? reservation.call.model, usage);
  if (typeof read === 'string') return { kind: 'invalid', detail: read };
  const result = await enforcer.reservations.settle(reservation, { ...read, source: 'reported' }, response);
  return changed(reservation, 'settled', result, read.amounts);
}

/** `stated`: the new amounts, for a reservation that no limit counts. */
function changed(
  { handle, pricing }: ReservationToChange,
  state: 'settled' | 'cancelled',
  result: SettleResult['outcome'],
  stated: Amounts,
): ReservationOutcome {
  if (result === 'superseded')
    return { kind: 'conflict', detail: 'Another change of this reservation came first; send it again.' };
  const amounts = handle === null ? stated : amountsByName(handle);
  return { kind: 'changed', state, amounts, result: handle === null ? 'missing' : result, pricing };
}

async function extend(
  enforcer: Enforcer,
  reservation: ReservationToChange,
  { usage, model }: ReservationChange,
): Promise<ReservationOutcome> {
  const read = readStatedUsage(enforcer.policy(), model ?? reservation.call.model, usage);
  if (typeof read === 'string') return { kind: 'invalid', detail: read };
  const { passed, reason } = await enforcer.reservations.extend(reservation, read.amounts, null);
  const { handle, pricing } = reservation;
  if (passed && handle !== null)
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
