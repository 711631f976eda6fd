import type { Identity } from '../../../shared/domain/identity.ts';
import type { EventLog } from '../metering/meter.ts';

/** The methods of `Spool` that this file needs. */
export interface SpoolRoom {
  /** Bytes on disk divided by `bytesMax`. */
  usedShare(): number;
  /** The last sequence number that Kafka has acknowledged. Events up to this number no longer count in a share. */
  acknowledged(): number;
  readonly bytesMax: number;
  /** Why the disk does not store events at present; null if it does. */
  diskFailure(): string | null;
}

export interface IngestShare {
  /**
   * True while appended events survive a crash of this process. Only then may a response report an event as `accepted`.
   */
  isDurable(): boolean;
  /**
   * Returns whether events of this size may be appended for a publisher. False if the publisher's unsent events would
   * exceed its share of the spool, or if the unsent events of all publishers would exceed their common share. The
   * publisher then has to send the events again later; no stored event is dropped to make room.
   */
  admits(publisher: string, bytes: number): boolean;
  /** Counts events that were appended for a publisher. `sequence` is the sequence number of the last one. */
  appended(publisher: string, bytes: number, sequence: number): void;
  /** Bytes of a publisher's events that Kafka has not acknowledged. */
  unsentBytes(publisher: string): number;
}

interface Unsent {
  readonly publisher: string;
  bytes: number;
  sequence: number;
}

/**
 * Published events may use half of the spool. The other half is kept for the events of requests, because a request that
 * was already served cannot be refused.
 */
const publishedShareMax = 0.5;
const ofPublisherShareMax = 1 / 16;
/**
 * Successive appends of one publisher are counted in one entry of at most this size, which bounds the number of
 * entries.
 */
const entryBytesMax = 256 * 1024;

/**
 * Bounds the part of the spool that published events may use while Kafka is slow or unavailable: one bound for all
 * publishers together, and one for each publisher.
 */
export function createIngestShare(spool: SpoolRoom): IngestShare {
  const byPublisher = new Map<string, number>();
  const unsent: Unsent[] = [];
  let head = 0;
  return { isDurable: () => spool.diskFailure() === null, admits, appended, unsentBytes };

  function admits(publisher: string, bytes: number): boolean {
    removeAcknowledged();
    const own = (byPublisher.get(publisher) ?? 0) + bytes;
    if (own > spool.bytesMax * ofPublisherShareMax) return false;
    return spool.usedShare() + bytes / spool.bytesMax <= publishedShareMax;
  }

  function appended(publisher: string, bytes: number, sequence: number): void {
    byPublisher.set(publisher, (byPublisher.get(publisher) ?? 0) + bytes);
    const last = unsent.at(-1);
    if (
      last !== undefined &&
      unsent.length > head &&
      last.publisher === publisher &&
      last.bytes < entryBytesMax
    ) {
      last.bytes += bytes;
      last.sequence = sequence;
    } else unsent.push({ publisher, bytes, sequence });
  }

  function unsentBytes(publisher: string): number {
    removeAcknowledged();
    return byPublisher.get(publisher) ?? 0;
  }

  /**
   * Removes acknowledged entries from the head of the queue. The array is shortened when more than half of it was
   * removed.
   */
  function removeAcknowledged(): void {
    const acknowledged = spool.acknowledged();
    for (;;) {
      const oldest = unsent[head];
      if (oldest === undefined || oldest.sequence > acknowledged) break;
      head += 1;
      const remaining = (byPublisher.get(oldest.publisher) ?? 0) - oldest.bytes;
      if (remaining > 0) byPublisher.set(oldest.publisher, remaining);
      else byPublisher.delete(oldest.publisher);
    }
    if (head > 1024 && head * 2 > unsent.length) {
      unsent.splice(0, head);
      head = 0;
    }
  }
}

/**
 * Returns the name of the publisher in whose share a caller's events are counted. A service has its own share, also for
 * the events that it publishes for tenants.
 */
export function shareOf({ service, tenantId }: Identity): string {
  return service === null ? `tenant ${tenantId ?? ''}` : `service ${service}`;
}

/** Runs `write` and counts `bytes` for the publisher until Kafka has acknowledged the last event that `write` appended. */
export async function appendShared<Result>(
  { events, ingestShare }: { readonly events: EventLog; readonly ingestShare: IngestShare },
  publisher: string,
  bytes: number,
  write: (log: EventLog) => Promise<Result>,
): Promise<Result> {
  let last = 0;
  const result = await write({
    append: (eventAt, textOf) => (last = events.append(eventAt, textOf)),
    flushed: () => events.flushed(),
  });
  if (last > 0) ingestShare.appended(publisher, bytes, last);
  return result;
}
