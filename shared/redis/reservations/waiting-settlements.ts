import type { ReservationRecord } from './reservation.ts';

/** A settlement of the record of one slot. */
export interface Settlement {
  readonly record: ReservationRecord;
  readonly operation: 'settle' | 'cancel';
  readonly sequence: number;
  /** For each quantity of the record the amount to charge in all; null if it stays as it is. */
  readonly targets: readonly (number | null)[];
  /** The amounts that were charged when the settlement was made, to create the record if Redis has lost it. */
  readonly charged: readonly number[];
}

/**
 * Settlements that Redis has not applied yet, one for each record. They are in memory only: after a crash, the reserved amounts
 * stay charged, which is too strict and never too generous.
 */
export interface WaitingSettlements {
  /** Adds a settlement. Returns false and adds nothing if too many settlements wait. */
  add(settlement: Settlement): boolean;
  /** Removes the settlement that waits for the same record and returns `settlement` with its targets added. */
  merge(settlement: Settlement): Settlement;
  /** Removes and returns up to `count` settlements for whose record `isReady` returns true. */
  remove(count: number, isReady: (record: ReservationRecord) => boolean): Settlement[];
  readonly size: () => number;
}

export const waitingMaxDefault = 20_000;

export function createWaitingSettlements(waitingMax = waitingMaxDefault): WaitingSettlements {
  const byKey = new Map<string, Settlement>();
  return {
    add: (settlement) => {
      const merged = merge(settlement);
      if (byKey.size >= waitingMax) return false;
      byKey.set(merged.record.key, merged);
      return true;
    },
    merge,
    remove: (count, isReady) => {
      const removed: Settlement[] = [];
      for (const [key, settlement] of byKey) {
        if (removed.length >= count) break;
        if (!isReady(settlement.record)) continue;
        byKey.delete(key);
        removed.push(settlement);
      }
      return removed;
    },
    size: () => byKey.size,
  };

  function merge(settlement: Settlement): Settlement {
    const earlier = byKey.get(settlement.record.key);
    if (earlier === undefined) return settlement;
    byKey.delete(settlement.record.key);
    const [older, newer] =
      earlier.sequence < settlement.sequence ? [earlier, settlement] : [settlement, earlier];
    const targets = newer.targets.map((target, index) => target ?? older.targets[index] ?? null);
    return { ...newer, targets, charged: older.charged };
  }
}
