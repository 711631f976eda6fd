import type { Clock } from '../../runtime/time/clock.ts';
import { joinParts, partsOf, passes } from '../cluster/split.ts';
import type { PendingCheck } from '../decision/batch.ts';
import type { CheckRequest } from '../decision/check.ts';
import type { DecidedCheck } from '../decision/dispatch.ts';
import type { PeriodCache } from '../decision/periods.ts';
import type { LocalReservations } from '../fallback/local-reservations.ts';
import type { Subject, Subjects } from '../decision/subjects.ts';
import type { Shape } from '../decision/windows.ts';
import { homeOf, pendingReservation } from './pending-reservation.ts';
import type { PendingReservation } from './pending-reservation.ts';
import type { ReservationRecord, ReservationRequest } from './reservation.ts';
import type { RecordSettler } from './settle-records.ts';

export interface ReserveOptions {
  readonly cluster: boolean;
  readonly subjects: Subjects;
  readonly periods: PeriodCache;
  readonly clock: Clock;
  readonly decide: (check: PendingCheck) => Promise<DecidedCheck>;
  readonly returnUnits: (check: PendingCheck, decided: DecidedCheck) => void;
  readonly settler: Pick<RecordSettler, 'discard'>;
  readonly localReservations: Pick<LocalReservations, 'remove'>;
}

export interface DecidedReservation {
  readonly decided: DecidedCheck;
  /** The reservation in each slot; the last is in the slot of the tenant. */
  readonly parts: readonly PendingReservation[];
}

export type ReservingRequest = CheckRequest & { readonly reservation: ReservationRequest };

export interface Reserve {
  /** Decides a check with a reservation. */
  readonly reserve: (
    request: ReservingRequest,
    shape: Shape,
    own: readonly Subject[],
  ) => Promise<DecidedReservation>;
  /** Returns the reservation of a check in each slot, without a decision; the last is in the slot of the tenant. */
  readonly partsOf: (
    request: ReservingRequest,
    shape: Shape,
    own: readonly Subject[],
  ) => readonly PendingReservation[];
}

export function createReserve(options: ReserveOptions): Reserve {
  const { cluster, subjects, periods, clock, decide, returnUnits, settler, localReservations } = options;
  return {
    reserve: async (request, shape, own) => {
      const home = homeOf(request, subjects);
      if (spans(own, home)) return reserveInParts(request, shape, own, home);
      const reservation = inOneSlot(request, shape, own, home);
      return { decided: await decide({ request, shape, subjects: own, reservation }), parts: [reservation] };
    },
    partsOf: (request, shape, own) => {
      const home = homeOf(request, subjects);
      if (!spans(own, home)) return [inOneSlot(request, shape, own, home)];
      return reservingParts(request, shape, own, home).map(({ part }) => part.reservation);
    },
  };

  function spans(own: readonly Subject[], home: Subject): boolean {
    return cluster && own.some(({ tag }) => tag !== home.tag);
  }

  function inOneSlot(
    request: ReservingRequest,
    shape: Shape,
    own: readonly Subject[],
    home: Subject,
  ): PendingReservation {
    return pendingReservation(request, { shape, subjects: own }, home, [], { periods, nowMs: clock.now() });
  }

  /**
   * Reserves in several slots of a cluster, each with a record of its own. The tenant's slot is charged last: if it has the
   * record, all other slots have theirs, so a repetition after a crash charges the slots that were not charged before.
   *
   * 1. Peek at all parts. If the tenant's slot has the record, or a part has no room, charge nothing.
   * 2. Charge all other parts.
   * 3. Charge the tenant's part. If a part of step 2 or 3 has no room any more, return the units of the other parts.
   */
  async function reserveInParts(
    request: ReservingRequest,
    shape: Shape,
    own: readonly Subject[],
    home: Subject,
  ): Promise<DecidedReservation> {
    const whole = { request, shape, subjects: own };
    const parts = reservingParts(request, shape, own, home);
    const reservations = parts.map(({ part }) => part.reservation);
    const homeIndex = parts.length - 1;
    const peeked = await Promise.all(
      parts.map(({ part }) => decide({ ...part, request: { ...request, peek: true } })),
    );
    const stored = peeked[homeIndex]?.stored ?? null;
    const join = (decisions: readonly DecidedCheck[]): DecidedReservation => ({
      decided: { ...joinParts(whole, parts, decisions), stored },
      parts: reservations,
    });
    const isPassed = (decided: DecidedCheck): boolean => passes(decided, request) || decided.stored !== null;
    const hasRoom = peeked.every(isPassed);
    if (request.peek || stored !== null || !hasRoom) return join(peeked);
    const charged = await Promise.all(parts.slice(0, -1).map(({ part }) => decide(part)));
    const last = parts[homeIndex]?.part;
    if (last !== undefined && charged.every(isPassed)) charged.push(await decide(last));
    const isWhole = charged.length === parts.length;
    if (isWhole && charged.every(isPassed)) return join(charged);
    return join(await returnParts(parts, charged, peeked));
  }

  /** Returns the units of the parts that had room. Returns the decision of each part, without its own units. */
  async function returnParts(
    parts: readonly ReservingPart[],
    charged: readonly DecidedCheck[],
    peeked: readonly DecidedCheck[],
  ): Promise<DecidedCheck[]> {
    return Promise.all(
      parts.map(async ({ part }, index) => {
        const before = peeked[index];
        const decided = charged[index] ?? before;
        if (decided === undefined || before === undefined)
          throw new Error('A part of a check was not decided');
        if (decided === before || !passes(decided, part.request) || decided.stored !== null) return decided;
        if (decided.degraded) {
          localReservations.remove(part.reservation.record.key);
          returnUnits(part, decided);
        } else await settler.discard(part.reservation.record);
        return before;
      }),
    );
  }

  interface ReservingPart {
    readonly part: PendingCheck & { readonly reservation: PendingReservation };
    readonly indexes: readonly number[];
  }

  /** Returns the part of each slot. The last is the tenant's, which exists even if it has no window. */
  function reservingParts(
    request: ReservingRequest,
    shape: Shape,
    own: readonly Subject[],
    home: Subject,
  ): ReservingPart[] {
    const time = { periods, nowMs: clock.now() };
    const parts = partsOf({ request, shape, subjects: own });
    const isHome = ({ part }: (typeof parts)[number]): boolean => part.subjects[0]?.tag === home.tag;
    const empty: Shape = {
      ...shape,
      windows: [],
      subjects: [],
      subjectOf: [],
      calendars: [],
      quantityOf: [],
    };
    const ofHome = parts.find(isHome) ?? { part: { request, shape: empty, subjects: [] }, indexes: [] };
    const others = parts
      .filter((part) => !isHome(part))
      .map(({ part, indexes }) => ({ part: withRecord(part, part.subjects[0] ?? home, []), indexes }));
    const records = others.map(({ part }) => part.reservation.record);
    return [...others, { part: withRecord(ofHome.part, home, records), indexes: ofHome.indexes }];

    function withRecord(part: PendingCheck, at: Subject, records: readonly ReservationRecord[]) {
      return { ...part, reservation: pendingReservation(request, part, at, records, time) };
    }
  }
}
