import type { Identity } from '../../../shared/domain/identity.ts';
import type { EventLog } from '../metering/meter.ts';

/** The part of `Spool` that the share of published events depends on. */
export interface SpoolRoom {
  /** Bytes on disk divided by `bytesMax`. */
  usedShare(): number;
  /** The last sequence number that Kafka has acknowledged. Events up to it no longer count. */
  acknowledged(): number;
  readonly bytesMax: number;
  /** Why the disk does not store events now; null when it does. */
  diskFailure(): string | null;
}

export interface IngestShare {
  /** True while an appended event survives a crash. Only then may its status be `accepted`. */
  isDurable(): boolean;
  /**
   * Whether events of these bytes may be appended for a publisher. False where the unsent events of this publisher would
   * exceed its share of the spool, or those of all publishers theirs. The publisher has to send them again later; no
   * event is evicted for them.
   */
  admits(publisher: string, bytes: number): boolean;
  /** Counts appended events, of which `sequence` is the last sequence number. */
  appended(publisher: string, bytes: number, sequence: number): void;
  /** Bytes of a publisher that Kafka has not acknowledged. */
  unsentBytes(publisher: string): number;
}

interface Unsent {
  readonly publisher: string;
  bytes: number;
  sequence: number;
}

/** The other half of the spool is kept for events of requests that were responded to, which cannot be refused. */
const publishedShareMax = 0.5;
const ofPublisherShareMax = 1 / 16;
/** Successive appends of one publisher share an entry up to this size, which bounds the number of entries. */
const entryBytesMax = 256 * 1024;

/** Bounds how much of the spool published events may hold while Kafka is slow or away, in all and for each publisher. */
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

  /** Removes acknowledged entries at the head. The array is cut when they are half of it. */
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

/** Name of the publisher whose share a caller's events use. A service has its own share, also for events of tenants. */
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
    append: (eventAt) => (last = events.append(eventAt)),
    flushed: () => events.flushed(),
  });
  if (last > 0) ingestShare.appended(publisher, bytes, last);
  return result;
}
