import { periodAt } from '../../../../shared/domain/time/calendar.ts';
import type { Limit } from '../../../../shared/domain/limit.ts';

/** Amounts by name of the quantity, `requests` included. */
export type AllAmounts = Record<string, number>;

interface Charge {
  readonly atMs: number;
  readonly amounts: AllAmounts;
  /** Units in each limit, by its index. A shadow limit without room has none. */
  readonly units: number[];
  /** Number of resets before the charge. */
  readonly resets: number;
}

export interface ModelReservation {
  state: 'open' | 'settled' | 'cancelled';
  readonly endsAtMs: number;
  readonly charges: Charge[];
  extension: number;
  settlement: number;
}

/**
 * All limits of one caller by the definition of reservations: a plain list of charges, from which settlements subtract. Shares no
 * code with the implementation.
 */
export class ReservationModel {
  readonly limits: readonly Limit[];
  readonly byId = new Map<string, ModelReservation>();
  readonly charges: Charge[] = [];
  resets = 0;

  constructor(limits: readonly Limit[]) {
    this.limits = limits;
  }

  /** Units of a limit that count now. */
  used(index: number, nowMs: number): number {
    return this.#unitsOf(this.charges, index, nowMs);
  }

  /** The part of these units that open reservations hold. A limit of requests has none. */
  reserved(index: number, nowMs: number): number {
    if (this.limits[index]?.of === 'requests') return 0;
    const open = [...this.byId.values()].filter(({ state }) => state === 'open');
    return this.#unitsOf(
      open.flatMap(({ charges }) => charges),
      index,
      nowMs,
    );
  }

  #unitsOf(charges: readonly Charge[], index: number, nowMs: number): number {
    const limit = this.limits[index];
    if (limit === undefined) throw new Error('no limit');
    const fromMs =
      limit.type === 'quota'
        ? periodAt(limit.period ?? 'day', null, nowMs).startMs
        : nowMs - limit.windowMs + 1;
    const survivesReset = limit.per.includes('global');
    return charges
      .filter(({ atMs, resets }) => atMs >= fromMs && (survivesReset || resets === this.resets))
      .reduce((sum, { units }) => sum + (units[index] ?? 0), 0);
  }

  remaining(nowMs: number): number[] {
    return this.limits.map(({ limit }, index) => Math.max(0, limit - this.used(index, nowMs)));
  }

  /** Whether each limit has room. An amount of 0 needs `least` units; with 0 the limit is not tested. */
  rooms(amounts: AllAmounts, least: 0 | 1, nowMs: number): boolean[] {
    return this.limits.map(({ of, limit }, index) => {
      const need = Math.max(amounts[of] ?? 0, least);
      return need === 0 || this.used(index, nowMs) + need <= limit;
    });
  }

  passes(rooms: readonly boolean[]): boolean {
    return this.limits.every(({ mode }, index) => mode === 'shadow' || rooms[index] === true);
  }

  charge(amounts: AllAmounts, rooms: readonly boolean[], nowMs: number): Charge {
    const units = this.limits.map(({ of }, index) => (rooms[index] === true ? (amounts[of] ?? 0) : 0));
    const charge = { atMs: nowMs, amounts: { ...amounts }, units, resets: this.resets };
    this.charges.push(charge);
    return charge;
  }

  /** Amount of a quantity that a reservation charges now. */
  charged({ charges }: ModelReservation, quantity: string): number {
    return charges.reduce((sum, { amounts }) => sum + (amounts[quantity] ?? 0), 0);
  }

  settle(reservation: ModelReservation, targets: AllAmounts, nowMs: number): void {
    const missing: AllAmounts = {};
    for (const [quantity, target] of Object.entries(targets)) {
      const more = target - this.charged(reservation, quantity);
      if (more > 0) missing[quantity] = more;
      else this.returnAmount(reservation, quantity, -more);
    }
    if (Object.keys(missing).length === 0) return;
    const first = reservation.charges[0]?.atMs ?? nowMs;
    const counts = this.limits.map(({ type, period }) => {
      if (type !== 'quota') return true;
      return (
        periodAt(period ?? 'day', null, nowMs).startMs === periodAt(period ?? 'day', null, first).startMs
      );
    });
    reservation.charges.push(this.charge(missing, counts, nowMs));
  }

  private returnAmount({ charges }: ModelReservation, quantity: string, excess: number): void {
    let left = excess;
    for (const { amounts, units } of charges.toReversed()) {
      const returned = Math.min(left, amounts[quantity] ?? 0);
      amounts[quantity] = (amounts[quantity] ?? 0) - returned;
      left -= returned;
      this.limits.forEach(({ of }, index) => {
        if (of === quantity) units[index] = Math.max(0, (units[index] ?? 0) - returned);
      });
    }
  }
}
