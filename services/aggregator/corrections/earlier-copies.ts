import type { Correction, CorrectionPlace, StoredCorrection } from '../events/decode.ts';
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
 * Reads the places of earlier copies of those corrections that may have one. For other corrections, which is the ordinary case, no
 * query is made.
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
  const candidates = corrections.filter(mayBeCopy);
  if (candidates.length === 0) return noCopies;
  const firstOffsets = new Map<string, number>();
  const resent = candidates.filter(({ isResent }) => isResent).map(({ place }) => place);
  if (resent.length > 0) {
    for (const place of await store.findCorrections(resent)) noteName(numberName(place), place.offset);
  }
  const keys = new Set(candidates.flatMap(({ place }) => place.key ?? []));
  if (keys.size > 0) {
    for (const { key, partition, offset } of await store.firstPlaces([...keys])) {
      noteName(keyName(key, partition), offset);
    }
  }
  for (const place of handled) note(place);
  return {
    note,
    has: ({ place, isResent }) =>
      (isResent && isEarlier(numberName(place), place)) ||
      (place.key !== null && isEarlier(keyName(place.key, place.partition), place)),
  };

  function note(place: StoredCorrection): void {
    noteName(numberName(place), place.offset);
    if (place.key !== null) noteName(keyName(place.key, place.partition), place.offset);
  }

  function noteName(name: string, offset: number): void {
    firstOffsets.set(name, Math.min(offset, firstOffsets.get(name) ?? Infinity));
  }

  function isEarlier(name: string, { offset }: CorrectionPlace): boolean {
    return (firstOffsets.get(name) ?? Infinity) < offset;
  }
}

/** True if a gateway sent the record again, or a client may have published the correction again. */
export function mayBeCopy({ isResent, place }: Correction): boolean {
  return isResent || place.key !== null;
}

/** True if both records are copies of one correction in one partition. */
export function areCopies(one: StoredCorrection, other: StoredCorrection): boolean {
  const haveEqualNumbers = one.spool !== '' && numberName(one) === numberName(other);
  return haveEqualNumbers || (one.partition === other.partition && one.key === other.key && one.key !== null);
}

/**
 * Copies have the same bytes, so their times are equal too. Without the time, a gateway that continues from a snapshot of its memory,
 * and so uses its run id and its sequence numbers again, could lose a correction.
 */
function numberName({ spool, sequence, timeMs, partition }: CorrectionPlace): string {
  return `${partition} ${sequence} ${timeMs} ${spool}`;
}

function keyName(key: string, partition: number): string {
  return `${partition} ${key}`;
}
