import type { Identity } from '../../../shared/domain/identity.ts';
import type { EventLog } from '../metering/meter.ts';

/** What the share needs of the spool. */
export interface SpoolRoom {
  /** Bytes on disk divided by what the spool may hold. */
  usedShare(): number;
  /** The last sequence that Kafka has; events up to it no longer count. */
  acknowledged(): number;
  readonly bytesMax: number;
  /** Why the disk takes no events now; null when it does. */
  trouble(): string | null;
}

export interface IngestShare {
  /** Whether what is appended now survives a crash: only then it may be called accepted. */
  isDurable(): boolean;
  /**
   * Whether events of these bytes may be appended for a publisher. Says no where the publisher's own unsent events would
   * pass its share of the spool, or those of all publishers theirs: they are sent again later, nothing is evicted.
   */
  admits(publisher: string, bytes: number): boolean;
  /** They were appended; `sequence` is the last one's. */
  appended(publisher: string, bytes: number, sequence: number): void;
  /** Bytes of a publisher that Kafka does not have yet. */
  unsentBytes(publisher: string): number;
}

interface Unsent {
  readonly publisher: string;
  bytes: number;
  sequence: number;
}

/** The rest of the spool is kept for events of answered requests, which cannot be refused. */
const publishedShareMax = 0.5;
const ofPublisherShareMax = 1 / 16;
/** Appends of one publisher in a row are one entry up to this size, so that small events cost no entry each. */
const entryBytesMax = 256 * 1024;

/** Bounds how much of the spool published events may hold while Kafka is slow or away, in all and for each publisher. */
export function createIngestShare(spool: SpoolRoom): IngestShare {
  const byPublisher = new Map<string, number>();
  const unsent: Unsent[] = [];
  let head = 0;
  return { isDurable: () => spool.trouble() === null, admits, appended, unsentBytes };

  function admits(publisher: string, bytes: number): boolean {
    settle();
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
    settle();
    return byPublisher.get(publisher) ?? 0;
  }

  /** Entries that Kafka has leave from the head; the array is cut when half of it is history. */
  function settle(): void {
    const acknowledged = spool.acknowledged();
    for (;;) {
      const oldest = unsent[head];
      if (oldest === undefined || oldest.sequence > acknowledged) break;
      head += 1;
      const left = (byPublisher.get(oldest.publisher) ?? 0) - oldest.bytes;
      if (left > 0) byPublisher.set(oldest.publisher, left);
      else byPublisher.delete(oldest.publisher);
    }
    if (head > 1024 && head * 2 > unsent.length) {
      unsent.splice(0, head);
      head = 0;
    }
  }
}

/** Whose share of the spool a caller's events take: a service has one of its own, whatever tenants it speaks of. */
export function shareOf({ service, tenantId }: Identity): string {
  return service === null ? `tenant ${tenantId ?? ''}` : `service ${service}`;
}

/** Lets `write` append to the spool, and counts what it appended as the publisher's `bytes` until Kafka has it. */
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
