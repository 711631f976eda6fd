import type { Pricing } from '../../../shared/domain/usage/prices.ts';
import type { Money } from '../../../shared/domain/money.ts';
import type { Amounts } from '../../../shared/domain/usage/quantity.ts';
import type { Limiter } from '../../../shared/redis/decision/limiter.ts';
import { amountsByName } from '../../../shared/redis/reservations/reservation.ts';
import type {
  ExtendResult,
  FoundReservation,
  Reservation,
  SettleResult,
} from '../../../shared/redis/reservations/reservation.ts';
import type { Clock } from '../../../shared/runtime/time/clock.ts';
import { cancellationEvent, extensionEvent, settlementEvent } from '../metering/call-events.ts';
import type { CallChange, CallResponse, SettledUsage } from '../metering/call-events.ts';
import type { Meter } from '../metering/meter.ts';
import type { ReservedCall } from './reserved-call.ts';

/** A reservation as it was made in this process, or as it was found by its id. */
export interface ReservationToChange {
  /** Null if no limit counts the amounts; then only the event of the call changes. */
  readonly handle: Reservation | null;
  readonly call: ReservedCall;
  readonly pricing: Pricing;
}

export interface CallReservationsOptions {
  readonly limiter: Pick<Limiter, 'extend' | 'settle' | 'cancel' | 'findReservation'>;
  readonly meter: Pick<Meter, 'writeCorrection' | 'source'>;
  readonly clock: Clock;
}

/**
 * Changes reservations after their decision: in Redis, and in the event of the call. Both are changed even if one of
 * them is unavailable: the limiter repeats its calls, and the spool sends the event later. If the process crashes in
 * between, the reservation keeps its reserved amounts until a later settlement.
 */
export class CallReservations {
  readonly #options: CallReservationsOptions;
  readonly #running = new Set<Promise<unknown>>();

  constructor(options: CallReservationsOptions) {
    this.#options = options;
  }

  /** Finds a reservation by its id. Rejects with REDIS_UNAVAILABLE when Redis does not answer. */
  find(tenantId: string, id: string): Promise<FoundReservation | null> {
    return this.#options.limiter.findReservation(tenantId, id);
  }

  /**
   * Reserves further amounts if all limits have room for them. `costAfter` is the cost of all that is reserved then;
   * null if it is unknown, so the event keeps the cost that it has. Resolves after the event is durable; never rejects.
   * If no limit counts the amounts, the extension passes.
   */
  async extend(
    { handle, call, pricing }: ReservationToChange,
    added: Amounts,
    costAfter: Money | null,
  ): Promise<ExtendResult> {
    const { limiter, meter } = this.#options;
    if (handle === null) return unlimited;
    const result = await limiter.extend(handle, added);
    if (!result.passed) return result;
    const change = this.#changeOf(call, `extension-${handle.extension}`);
    const reserved = { amounts: amountsByName(handle), cost: costAfter };
    await meter.writeCorrection(extensionEvent(change, pricing, reserved));
    return result;
  }

  /**
   * Replaces the reserved amounts by the actual ones. Resolves after the event is durable; never rejects. A settlement
   * that came after another one of the same reservation changes nothing.
   */
  settle(
    reservation: ReservationToChange,
    usage: SettledUsage,
    response: CallResponse | null,
  ): Promise<SettleResult['outcome']> {
    return this.#track(this.#settle(reservation, usage, response));
  }

  /** Resolves when all settlements that have begun are written. */
  async close(): Promise<void> {
    await Promise.allSettled(this.#running);
  }

  #track<Result>(work: Promise<Result>): Promise<Result> {
    this.#running.add(work);
    const end = (): void => void this.#running.delete(work);
    void work.then(end, end);
    return work;
  }

  async #settle(
    { handle, call, pricing }: ReservationToChange,
    usage: SettledUsage,
    response: CallResponse | null,
  ): Promise<SettleResult['outcome']> {
    const { limiter, meter } = this.#options;
    const outcome = handle === null ? 'applied' : (await limiter.settle(handle, usage.amounts)).outcome;
    if (outcome === 'superseded') return outcome;
    const number = handle?.settlement ?? 1;
    const change = this.#changeOf(call, `settlement-${number}`);
    await meter.writeCorrection(settlementEvent(change, pricing, number, usage, response));
    return outcome;
  }

  /**
   * Returns all amounts of a reservation and the units of its call. `response`: the response of a call that is not charged.
   * Never rejects.
   */
  async cancel(
    { handle, call }: ReservationToChange,
    response: CallResponse | null = null,
  ): Promise<SettleResult['outcome']> {
    const { limiter, meter } = this.#options;
    const outcome = handle === null ? 'applied' : (await limiter.cancel(handle)).outcome;
    if (outcome === 'superseded') return outcome;
    const number = handle?.settlement ?? 1;
    const change = this.#changeOf(call, `settlement-${number}`);
    await meter.writeCorrection(cancellationEvent(change, number, response));
    return outcome;
  }

  #changeOf(call: ReservedCall, name: string): CallChange {
    const { meter, clock } = this.#options;
    return { name, call, nowMs: clock.now(), source: meter.source };
  }
}

const unlimited: ExtendResult = { passed: true, reason: null, states: [], degraded: false };
