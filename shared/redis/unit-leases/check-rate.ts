/** The size and the thresholds of a lease for the recent rate of a caller. */
export interface LeasePlan {
  readonly units: number;
  /** A renewal is due when this many units or fewer are left. */
  readonly lowUnits: number;
  /** A renewal is due when this much of the life is left, in milliseconds. */
  readonly leadMs: number;
}

/** The least number of units that a node leases: a smaller lease saves too few calls. `lease.lua` has the same number. */
export const leaseUnitsMin = 3;
/** The least number of checks in an interval: a lease of the size of one large check would save no call for the next one. */
export const leaseChecksMin = 4;
/** A caller with fewer recent units gets leases only if it also sent checks in the interval before: a short burst does not. */
export const burstUnitsMin = 16;
const leaseUnitsMax = 1_000_000_000;
/** A renewal is requested this part of a lease ahead of its end, so a lease has the units for the other part of its life. */
const leadShare = 0.1;
/** A lease is renewed at the latest beside the last check before its end, also if the next check is late by half its distance. */
const leadChecks = 1.5;

/** Counts the checks and units of one caller in intervals of the length of a lease. Times are monotonic, in milliseconds. */
export class CheckRate {
  readonly #intervalMs: number;
  #startedAtMs = -Infinity;
  #checks = 0;
  #units = 0;
  #checksBefore = 0;
  /** Duration of the interval before: it ended with the first check after its length. */
  #durationBeforeMs = 1;
  #unitsBefore = 0;

  constructor(intervalMs: number) {
    this.#intervalMs = intervalMs;
  }

  count(cost: number, nowMs: number): void {
    const sinceMs = nowMs - this.#startedAtMs;
    if (sinceMs >= this.#intervalMs) {
      const isAdjacent = sinceMs < 2 * this.#intervalMs;
      this.#checksBefore = isAdjacent ? this.#checks : 0;
      this.#unitsBefore = isAdjacent ? this.#units : 0;
      this.#durationBeforeMs = isAdjacent ? sinceMs : this.#intervalMs;
      this.#checks = this.#units = 0;
      this.#startedAtMs = nowMs;
    }
    this.#checks += 1;
    this.#units += cost;
  }

  /** Returns the lease that suits the faster of the two intervals; null if the caller is too slow for a lease. */
  plan(): LeasePlan | null {
    const isSteady = this.#checksBefore >= leaseChecksMin;
    const now = this.#checks < leaseChecksMin ? 0 : this.#units;
    const before = isSteady ? (this.#unitsBefore * this.#intervalMs) / this.#durationBeforeMs : 0;
    const recent = Math.min(Math.max(now, before), leaseUnitsMax);
    const units = Math.floor(recent * (1 - leadShare));
    if (units < leaseUnitsMin || (recent < burstUnitsMin && !isSteady)) return null;
    const isRising = now > before;
    const gapMs = isRising ? this.#intervalMs / this.#checks : this.#durationBeforeMs / this.#checksBefore;
    const costMean = isRising ? now / this.#checks : this.#unitsBefore / this.#checksBefore;
    return {
      units,
      lowUnits: Math.max(Math.floor(recent * leadShare), Math.ceil(costMean) - 1),
      leadMs: Math.max(this.#intervalMs * leadShare, gapMs * leadChecks),
    };
  }
}
