import { randomBytes } from 'node:crypto';
import type { LimitState } from '../../domain/limit.ts';
import { messageOf } from '../../runtime/errors.ts';
import type { Logger } from '../../runtime/logger.ts';
import type { PendingCheck } from '../decision/batch.ts';
import { amountOf, admits } from '../decision/check.ts';
import type { PendingReservation, StoredReservation } from '../reservations/pending-reservation.ts';
import type { Reservation, ReservationRecord } from '../reservations/reservation.ts';
import type { WindowCounts } from '../decision/windows.ts';
import type { Settlement } from '../reservations/waiting-settlements.ts';
import { promptMs } from '../leases/live-nodes.ts';
import { causeOf, meansUnavailable } from './circuit-breaker.ts';
import type { LocalLedger } from './local-ledger.ts';
import type { ChargedWindow, LocalLimiter } from './local-limiter.ts';

/**
 * Reservations and extensions that this node charged without Redis. Their units are counted into Redis by the backfill, like all
 * units that were admitted without it. After that, Redis gets their records (adoption), so that every node can settle them.
 */
export interface LocalReservations {
  /** Decides a check with a reservation. If this node has a reservation of this id, charges nothing and returns it. */
  reserve(check: ReservingCheck, nowMs: number): { states: LimitState[]; stored: StoredReservation | null };
  /** Charges an extension to all windows of the reservation, or to none. Null if this process does not have the windows. */
  extend(reservation: Reservation, amounts: readonly number[], nowMs: number): LimitState[] | null;
  /**
   * Settles a record that only this node has. Returns false if the units are already in Redis, or on their way to it: the
   * settlement must then wait for the adoption of the record.
   */
  settle(settlement: Settlement, nowMs: number): boolean;
  /** Whether Redis still lacks charges of a record. */
  has(key: string): boolean;
  /** Removes a record whose check was refused in another slot. */
  remove(key: string): void;
  /** Sends to Redis the records whose units it has, of the hash tags for which `isServed` returns true. */
  adopt(isServed: (tag: string) => boolean, budgetMs: number): Promise<void>;
}

export type ReservingCheck = PendingCheck & { readonly reservation: PendingReservation };

export interface LocalReservationsOptions {
  readonly local: LocalLimiter;
  readonly ledger: LocalLedger;
  readonly send: (record: ReservationRecord, adoption: Adoption) => Promise<void>;
  readonly logger: Logger;
  readonly recordsMax?: number;
}

/** Charges of one record that Redis counts but has no record of. */
export interface Adoption {
  /** Identifies the adoption, so that a repetition changes nothing. */
  readonly token: string;
  /** `create`: the record is new to Redis. `append`: Redis has the record, which lacks the charges after the first. */
  readonly mode: 'create' | 'append';
  readonly state: 'open' | 'settled' | 'cancelled';
  readonly settlement: number;
  readonly charges: readonly AdoptedCharge[];
}

interface AdoptedCharge {
  readonly amounts: readonly number[];
  /** For each window the time of its units by the clock of Redis, Unix milliseconds; 0 if the window does not count them. */
  readonly windowsAtMs: readonly number[];
}

interface LocalRecord {
  readonly record: ReservationRecord;
  readonly mode: Adoption['mode'];
  readonly token: string;
  readonly charges: { amounts: number[]; readonly windows: readonly (ChargedWindow | null)[] }[];
  state: Adoption['state'];
  settlement: number;
  isSending: boolean;
}

/** Above this number, the amounts of further reservations stay charged as reserved. */
const recordsMaxDefault = 20_000;
const adoptionsInFlight = 8;

export function createLocalReservations(options: LocalReservationsOptions): LocalReservations {
  const { local, ledger, logger, recordsMax = recordsMaxDefault } = options;
  const byKey = new Map<string, LocalRecord>();
  return {
    reserve,
    extend,
    settle,
    has: (key) => byKey.has(key),
    remove: (key) => void byKey.delete(key),
    adopt,
  };

  function reserve(
    check: ReservingCheck,
    nowMs: number,
  ): { states: LimitState[]; stored: StoredReservation | null } {
    const { request, shape, reservation } = check;
    const { record } = reservation;
    const existing = byKey.get(record.key);
    const amounts = shape.quantities.map((_, index) => amountOf(request, shape.quantities, index));
    const charges = existing !== undefined || request.peek ? 'test' : 'if_room';
    const { states, charged } = local.charge(check, amounts, { least: 1, charges }, nowMs);
    if (existing !== undefined) return { states, stored: storedOf(existing) };
    const isCharged = admits(states);
    if (charges === 'if_room' && isCharged && byKey.size < recordsMax) {
      byKey.set(record.key, {
        ...{ record, mode: 'create', token: newToken(), state: 'open', settlement: 0, isSending: false },
        charges: [{ amounts: [...reservation.amounts], windows: charged }],
      });
    }
    return { states, stored: null };
  }

  function extend(
    { records, charged: before }: Reservation,
    amounts: readonly number[],
    nowMs: number,
  ): LimitState[] | null {
    const states: LimitState[] = [];
    const charges: { record: ReservationRecord; windows: readonly (ChargedWindow | null)[] }[] = [];
    for (const record of records) {
      if (record.part === null) return null;
      const decision = local.charge(record.part, amounts, { least: 0, charges: 'if_room' }, nowMs);
      states.push(...decision.states);
      charges.push({ record, windows: decision.charged });
    }
    const passes = admits(states);
    for (const { record, windows } of charges) {
      if (!passes) returnCharge(record, { windows }, amounts, nowMs);
      else appendCharge(record, before, { amounts: [...amounts], windows });
    }
    return states;
  }

  function appendCharge(
    record: ReservationRecord,
    before: readonly number[],
    charge: LocalRecord['charges'][number],
  ): void {
    const existing = byKey.get(record.key);
    if (existing !== undefined) existing.charges.push(charge);
    else if (byKey.size < recordsMax) {
      byKey.set(record.key, {
        ...{ record, mode: 'append', token: newToken(), state: 'open', settlement: 0, isSending: false },
        charges: [{ amounts: [...before], windows: charge.windows.map(() => null) }, charge],
      });
    }
  }

  function settle({ record, operation, sequence, targets }: Settlement, nowMs: number): boolean {
    const own = byKey.get(record.key);
    if (own?.mode !== 'create' || record.part === null || own.isSending) return false;
    if (!own.charges.every(isUnsent)) return false;
    if (sequence <= own.settlement) return true;
    const missing = targets.map((target, quantity) => {
      const charged = own.charges.reduce((sum, { amounts }) => sum + (amounts[quantity] ?? 0), 0);
      return target === null ? 0 : target - charged;
    });
    if (own.state === 'open') {
      for (const charge of own.charges) returnCharge(record, charge, charge.amounts, nowMs, 'reserved');
    }
    for (const charge of own.charges.toReversed()) {
      const returned = charge.amounts.map((amount, quantity) =>
        Math.min(amount, Math.max(0, -(missing[quantity] ?? 0))),
      );
      returned.forEach((units, quantity) => (missing[quantity] = (missing[quantity] ?? 0) + units));
      returnCharge(record, charge, returned, nowMs, 'charged');
      charge.amounts = charge.amounts.map((amount, quantity) => amount - (returned[quantity] ?? 0));
    }
    const more = missing.map((units) => Math.max(0, units));
    if (more.some((units) => units > 0)) {
      const { charged } = local.charge(record.part, more, { least: 0, charges: 'all' }, nowMs);
      own.charges.push({ amounts: more, windows: charged });
    }
    own.state = operation === 'cancel' ? 'cancelled' : 'settled';
    own.settlement = sequence;
    return true;
  }

  /** Returns units of a charge to the local windows that count it: to all of them, or only to those that count `counts`. */
  function returnCharge(
    { part }: ReservationRecord,
    { windows }: Pick<LocalRecord['charges'][number], 'windows'>,
    returned: readonly number[],
    nowMs: number,
    counts?: WindowCounts,
  ): void {
    windows.forEach((charged, index) => {
      const units = returned[part?.shape.quantityOf[index] ?? 0] ?? 0;
      if (charged === null || units === 0) return;
      if (counts !== undefined && charged.row.window.counts !== counts) return;
      charged.row.local.returnUnsent(units, charged.atMs);
      ledger.update(charged.account, nowMs);
    });
  }

  async function adopt(isServed: (tag: string) => boolean, budgetMs: number): Promise<void> {
    const until = performance.now() + budgetMs;
    const ready = [...byKey.values()].filter(
      ({ record, charges }) => isServed(record.tag) && charges.every(isInRedis),
    );
    for (let from = 0; from < ready.length && performance.now() < until; from += adoptionsInFlight) {
      await Promise.all(ready.slice(from, from + adoptionsInFlight).map(adoptRecord));
    }
  }

  async function adoptRecord(own: LocalRecord): Promise<void> {
    const { record, mode, token, state, settlement } = own;
    const charges = own.charges.map(({ amounts, windows }) => ({
      amounts,
      windowsAtMs: windows.map((charged) => (charged === null ? 0 : timeInRedis(charged))),
    }));
    own.isSending = true;
    try {
      await options.send(record, { token, mode, state, settlement, charges });
    } catch (error) {
      own.isSending = false;
      if (meansUnavailable(causeOf(error))) return;
      logger.error(
        { key: record.key, reason: messageOf(error) },
        'a reservation could not be stored in redis',
      );
      byKey.delete(record.key);
      return;
    }
    // Charges that were added meanwhile are sent by the next adoption.
    if (byKey.get(record.key) !== own) return;
    byKey.delete(record.key);
    const added = own.charges.slice(charges.length);
    const before = sumOf(charges.map(({ amounts }) => amounts));
    for (const charge of added) appendCharge(record, before, charge);
  }

  function isInRedis({ windows }: LocalRecord['charges'][number]): boolean {
    return windows.every((charged) => charged === null || !ledger.unsent.has(charged.account));
  }
}

function isUnsent({ windows }: LocalRecord['charges'][number]): boolean {
  return windows.every((charged) => charged?.row.local.isUnsent(charged.atMs) ?? true);
}

/**
 * Returns the time at which Redis counts the units of a window. An entry of a large limit may have been stored up to one measured
 * round trip earlier. A time that is too early is safe: units are then returned to an older entry, or not at all.
 */
function timeInRedis({ row, account, atMs }: ChargedWindow): number {
  return atMs + account.offsetMs - (row.window.grainMs === 0 ? 0 : promptMs);
}

function storedOf({ record, charges, state, settlement }: LocalRecord): StoredReservation {
  const charged = sumOf(charges.map(({ amounts }) => amounts));
  const head = { state, endsAtMs: record.endsAtMs, settlement, extension: charges.length - 1, charged };
  return { head, details: record.details };
}

function sumOf(lists: readonly (readonly number[])[]): number[] {
  const [first = [], ...others] = lists;
  return first.map((amount, index) => others.reduce((sum, list) => sum + (list[index] ?? 0), amount));
}

function newToken(): string {
  return randomBytes(9).toString('base64url');
}
