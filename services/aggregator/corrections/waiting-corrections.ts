import type { ConsumedMessage } from '../../../shared/kafka/message.ts';
import type { Correction } from '../events/decode.ts';
import type { StoredEvent } from '../events/stored-event.ts';
import { placeKey } from '../place.ts';
import { areCopies } from './earlier-copies.ts';
import { identitiesOf, nameOf } from './identities.ts';

/** A correction whose event was not found yet, and its record. */
export interface WaitingCorrection {
  readonly correction: Correction;
  readonly message: ConsumedMessage;
}

/**
 * Corrections whose event is not in the log before them. A gateway that settles a reservation may send the settlement
 * before another gateway has sent the event. Such a correction waits for its event, and is applied directly after it.
 * Its offset is not committed meanwhile, so after a crash it is read again and waits again.
 */
export interface WaitingCorrections {
  /** The number of assignments so far. A block that began before the last `clear` adds nothing. */
  epoch(): number;
  /** Returns false if too many corrections wait, in total or of this tenant. */
  add(waiting: WaitingCorrection, epoch: number): boolean;
  /**
   * Returns the corrections that wait for this event or were applied and not released, in the order of the log. Excludes
   * dead letters, and corrections whose record is older than the event's record (`timestampMs`) by more than the longest
   * wait, because they become dead letters.
   */
  of(event: StoredEvent, timestampMs: number | null): readonly WaitingCorrection[];
  /**
   * True if a copy of this correction is earlier in its partition and waits for its event. Excludes copies whose record is older by
   * more than the longest wait, because they become dead letters. Also true if the block began before the last `clear`, because its
   * records are delivered again, and the earlier copy may have been dropped.
   */
  hasEarlierCopy(waiting: WaitingCorrection, epoch: number): boolean;
  /** Notes the timestamps of records after which `due` is called. */
  noteRead(messages: readonly ConsumedMessage[]): void;
  /**
   * Notes that all records which the partition had at this time (monotonic milliseconds) are handled before the next
   * call of `due`.
   */
  noteReadToEnd(partition: number, atMs: number): void;
  /**
   * Returns the corrections whose event can no longer arrive in time: they have waited for the longest time, and since
   * then their partition was read to its end, or up to a record that is younger by more than the longest wait. While
   * blocks cannot be stored, or are read late, corrections wait longer, so the result depends on the log only.
   */
  due(): readonly WaitingCorrection[];
  /**
   * Notes that these corrections were applied, or rejected by their event, with the block of this number. They no longer
   * wait, but their offsets are still held.
   */
  settle(done: readonly WaitingCorrection[], block: number): void;
  /** Notes that these corrections are dead letters, as `settle` does. No later event takes them. */
  expire(dead: readonly WaitingCorrection[], block: number): void;
  /** Releases the offsets of corrections that were settled with blocks up to this number: their totals are announced. */
  release(block: number): void;
  /** Returns the lowest offset of the partition that must not be committed; null if there is none. */
  heldFrom(partition: number): number | null;
  /** Returns the timestamp of the oldest record whose offset is held, in Unix milliseconds; null if there is none. */
  oldestMs(): number | null;
  /** Returns the milliseconds until a correction may be due; 0 if one is due; null if none waits. */
  untilDueMs(): number | null;
  size(): number;
  /** Drops all corrections, because partitions were assigned again: uncommitted records are delivered again. */
  clear(): void;
}

export interface WaitingCorrectionsOptions {
  readonly waitMs: number;
  /** Monotonic milliseconds. */
  readonly now: () => number;
}

/** Bounds of the memory. A correction beyond them becomes a dead letter at once. */
const totalMax = 10_000;
const perTenantMax = 1_000;
/** Interval of the checks whether the partition of a correction was read far enough. */
const checkIntervalMs = 500;

interface Entry extends WaitingCorrection {
  readonly sinceMs: number;
  /** Number of the block with which the correction was settled; null while it waits. */
  settledWith: number | null;
  isDead: boolean;
}

export function createWaitingCorrections({ waitMs, now }: WaitingCorrectionsOptions): WaitingCorrections {
  /** In the order of arrival, so the first entry is due first. */
  const entries = new Map<string, Entry>();
  const byName = new Map<string, Entry[]>();
  const perTenant = new Map<string, number>();
  /** By partition: the highest timestamp of a record, and the time at which the partition was read to its end. */
  const newestMs = new Map<number, number>();
  const readToEndMs = new Map<number, number>();
  let epoch = 0;

  return {
    epoch: () => epoch,
    add(waiting, addedIn) {
      const key = placeKey(waiting.message);
      if (addedIn !== epoch || entries.has(key)) return true;
      const { tenantId } = waiting.correction;
      const ofTenant = perTenant.get(tenantId) ?? 0;
      if (entries.size >= totalMax || ofTenant >= perTenantMax) return false;
      const entry: Entry = { ...waiting, sinceMs: now(), settledWith: null, isDead: false };
      entries.set(key, entry);
      perTenant.set(tenantId, ofTenant + 1);
      for (const name of namesOf(entry)) byName.set(name, [...(byName.get(name) ?? []), entry]);
      return true;
    },
    of(event, timestampMs) {
      const named = entries.size === 0 ? undefined : byName.get(nameOf(event));
      if (named === undefined) return [];
      return named
        .filter((entry) => !entry.isDead && names(entry, event) && isInTime(entry, timestampMs))
        .toSorted((a, b) => a.message.offset - b.message.offset);
    },
    hasEarlierCopy({ correction, message }, begunIn) {
      if (begunIn !== epoch) return true;
      const named =
        entries.size === 0 ? [] : identitiesOf(correction).flatMap((name) => byName.get(nameOf(name)) ?? []);
      return named.some(
        (entry) =>
          entry.settledWith === null &&
          areCopies(entry.correction.place, correction.place) &&
          entry.message.offset < message.offset &&
          isInTime(entry, message.timestampMs),
      );
    },
    noteRead(messages) {
      for (const { partition, timestampMs } of messages) {
        if ((timestampMs ?? 0) > (newestMs.get(partition) ?? 0)) newestMs.set(partition, timestampMs ?? 0);
      }
    },
    noteReadToEnd(partition, atMs) {
      readToEndMs.set(partition, atMs);
    },
    due() {
      return [...entries.values()].filter((entry) => entry.settledWith === null && untilDue(entry) === 0);
    },
    settle(done, block) {
      for (const waiting of done) {
        const entry = entries.get(placeKey(waiting.message));
        if (entry !== undefined) entry.settledWith = block;
      }
    },
    expire(dead, block) {
      for (const waiting of dead) {
        const entry = entries.get(placeKey(waiting.message));
        if (entry !== undefined) Object.assign(entry, { settledWith: block, isDead: true });
      }
    },
    release(block) {
      for (const entry of entries.values()) if ((entry.settledWith ?? Infinity) <= block) remove(entry);
    },
    heldFrom(partition) {
      let lowest: number | null = null;
      for (const { message } of entries.values()) {
        if (message.partition === partition) lowest = Math.min(lowest ?? Infinity, message.offset);
      }
      return lowest;
    },
    oldestMs() {
      const times = [...entries.values()].flatMap(({ message }) => message.timestampMs ?? []);
      return times.length === 0 ? null : Math.min(...times);
    },
    untilDueMs() {
      let earliest = Infinity;
      for (const entry of entries.values()) {
        if (entry.settledWith === null) earliest = Math.min(earliest, untilDue(entry));
      }
      return earliest === Infinity ? null : earliest;
    },
    size: () => entries.size,
    clear() {
      epoch += 1;
      entries.clear();
      byName.clear();
      perTenant.clear();
      newestMs.clear();
      readToEndMs.clear();
    },
  };

  function remove(entry: Entry): void {
    entries.delete(placeKey(entry.message));
    const { tenantId } = entry.correction;
    const ofTenant = (perTenant.get(tenantId) ?? 0) - 1;
    if (ofTenant > 0) perTenant.set(tenantId, ofTenant);
    else perTenant.delete(tenantId);
    for (const name of namesOf(entry)) {
      const others = (byName.get(name) ?? []).filter((one) => one !== entry);
      if (others.length > 0) byName.set(name, others);
      else byName.delete(name);
    }
  }

  function untilDue({ message: { partition, timestampMs }, sinceMs }: Entry): number {
    const waitEndsMs = sinceMs + waitMs;
    const remainingMs = waitEndsMs - now();
    if (remainingMs > 0) return remainingMs;
    const isPassed = timestampMs !== null && (newestMs.get(partition) ?? 0) > timestampMs + waitMs;
    return isPassed || (readToEndMs.get(partition) ?? -Infinity) >= waitEndsMs ? 0 : checkIntervalMs;
  }

  function isInTime({ message }: Entry, timestampMs: number | null): boolean {
    return (
      timestampMs === null || message.timestampMs === null || timestampMs - message.timestampMs <= waitMs
    );
  }
}

function namesOf({ correction }: WaitingCorrection): readonly string[] {
  return identitiesOf(correction).map(nameOf);
}

function names({ correction }: WaitingCorrection, event: StoredEvent): boolean {
  return identitiesOf(correction).some(
    (identity) =>
      nameOf(identity) === nameOf(event) && event.timeMs >= identity.fromMs && event.timeMs <= identity.toMs,
  );
}
