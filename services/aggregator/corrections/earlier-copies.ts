import type { Correction, StoredCorrection } from '../events/decode.ts';
import type { EventStore } from '../events/event-store.ts';

/** The corrections that were handled before, of which a later record may be a copy. */
export interface EarlierCopies {
  /** Notes a correction of the block that was handled and is not a dead letter. */
  note(place: StoredCorrection): void;
  /** True if a copy of the correction is earlier in its partition. */
  has(correction: Correction): boolean;
}

const noCopies: EarlierCopies = { note: () => undefined, has: () => false };

/**
 * Reads the places of earlier copies of those corrections that gateways may have sent before. Without these, which is the ordinary
 * case, no query is made.
 *
 * Only copies with a lower offset of the same partition count. So a correction that is read again, with its own row in the store,
 * is applied again, and the totals of its event are derived.
 */
export async function findEarlierCopies(
  corrections: readonly Correction[],
  store: EventStore,
  /** The corrections that were handled before in the same block, whose rows are not stored yet. */
  handled: readonly StoredCorrection[],
): Promise<EarlierCopies> {
  const resent = corrections.filter(({ isResent }) => isResent);
  if (resent.length === 0) return noCopies;
  const firstOffsets = new Map<string, number>();
  for (const place of await store.findCorrections(resent.map(({ place: wanted }) => wanted))) note(place);
  for (const place of handled) note(place);
  return {
    note,
    has: ({ place, isResent }) => isResent && (firstOffsets.get(nameOf(place)) ?? Infinity) < place.offset,
  };

  function note(place: StoredCorrection): void {
    const name = nameOf(place);
    firstOffsets.set(name, Math.min(place.offset, firstOffsets.get(name) ?? Infinity));
  }
}

/** True if both records are copies of one correction in one partition. */
export function areCopies(one: StoredCorrection, other: StoredCorrection): boolean {
  return nameOf(one) === nameOf(other);
}

/**
 * Copies have the same bytes, so their times are equal too. Without the time, a gateway that continues from a snapshot of its memory,
 * and so uses its run id and its sequence numbers again, could lose a correction.
 */
function nameOf({ spool, sequence, timeMs, partition }: StoredCorrection): string {
  return `${partition} ${sequence} ${timeMs} ${spool}`;
}
