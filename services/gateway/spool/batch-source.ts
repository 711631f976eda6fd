import { resentHeaders } from '../../../shared/domain/topics/resent-record.ts';
import { withinOr } from '../../../shared/runtime/within.ts';
import type { PendingEvents } from './pending-events.ts';
import type { SpoolReader } from './segments/reader.ts';
import type { SpoolRecord } from './segments/record.ts';
import type { Store } from './store.ts';

export interface BatchSourceOptions {
  /** The reader of the folder; null until the folder was read. */
  readonly reader: () => SpoolReader | null;
  readonly pending: PendingEvents;
  readonly store: Pick<Store, 'state' | 'acknowledged'>;
}

/** A record that the publisher sends. */
export interface OutgoingRecord extends SpoolRecord {
  /** Present if Kafka may have the record already. */
  readonly headers?: Readonly<Record<string, string>>;
}

/**
 * Returns batches of events to the publisher, one after the other: from the disk, or from memory while the disk fails.
 */
export interface BatchSource {
  readBatch(recordsMax: number, bytesMax: number): Promise<readonly OutgoingRecord[]>;
  /** Called when Kafka has acknowledged the current batch, whose last event has this sequence number. */
  acknowledge(sequence: number): void;
  /**
   * Called when the folder was read: its cursor states that Kafka has all events below `unacknowledged`. Kafka may also have later
   * ones, up to the last event of the folder.
   */
  begin(unacknowledged: number, last: number): void;
  /** The highest sequence number that Kafka has acknowledged. */
  acknowledged(): number;
  /** Unix milliseconds at which the oldest event of the current batch was appended; null without a batch. */
  oldestAtMs(): number | null;
  /** Closes the file that is open for reading, because a failed file system can be repaired only without open files. */
  release(): Promise<void>;
}

/** Time after which the publisher stops waiting for a read of the disk and continues with the events in memory. */
const readTimeoutMs = 1_000;

export function createBatchSource({ reader, pending, store }: BatchSourceOptions): BatchSource {
  let reading: Promise<readonly SpoolRecord[]> | null = null;
  let batch: { readonly isFromMemory: boolean; readonly oldestAtMs: number } | null = null;
  let highest = 0;
  /** Highest sequence number of the events that Kafka may have: those of earlier batches and of earlier runs. */
  let sentThrough = 0;

  return {
    readBatch,
    acknowledge,
    begin(unacknowledged, last) {
      highest = Math.max(highest, unacknowledged - 1);
      sentThrough = Math.max(sentThrough, last);
    },
    acknowledged: () => highest,
    oldestAtMs: () => batch?.oldestAtMs ?? null,
    release,
  };

  async function readBatch(recordsMax: number, bytesMax: number): Promise<readonly OutgoingRecord[]> {
    const onDisk = await readFromDisk(recordsMax, bytesMax);
    const isFromMemory = onDisk.length === 0 && store.state() !== 'healthy';
    const records = isFromMemory ? pending.readBatch(recordsMax, bytesMax) : onDisk;
    const [oldest] = records;
    if (oldest === undefined) return [];
    batch = { isFromMemory, oldestAtMs: oldest.appendedAtMs };
    const before = sentThrough;
    sentThrough = Math.max(sentThrough, records.at(-1)?.sequence ?? 0);
    if (oldest.sequence > before) return records;
    return records.map((record) => (record.sequence > before ? record : withResentHeaders(record)));
  }

  /**
   * Reads events from the disk. Returns no events if the read hangs, or if it fails while the store is not healthy;
   * throws if it fails while the store is healthy.
   */
  async function readFromDisk(recordsMax: number, bytesMax: number): Promise<readonly SpoolRecord[]> {
    const source = reader();
    if (source === null || (reading === null && source.unreadBytes() === 0)) return [];
    reading ??= source.read(recordsMax, bytesMax);
    try {
      const records = await withinOr(reading, readTimeoutMs, null);
      if (records === null) return [];
      reading = null;
      if (store.state() !== 'healthy') await release();
      return records;
    } catch (error) {
      reading = null;
      await release();
      if (store.state() === 'healthy') throw error;
      return [];
    }
  }

  function acknowledge(sequence: number): void {
    const isFromMemory = batch?.isFromMemory === true;
    batch = null;
    highest = Math.max(highest, sequence);
    if (isFromMemory) {
      pending.markSent(sequence);
      // Unread events on the disk are older than this batch from memory, so the cursor must not move past
      // them.
      const source = reader();
      if (source === null || reading !== null || source.unreadBytes() > 0) return;
    }
    store.acknowledged(sequence + 1);
  }

  /** Closes the file, unless a read is in progress: that read closes the file itself when it ends. */
  async function release(): Promise<void> {
    if (reading === null)
      await reader()
        ?.release()
        .catch(() => undefined);
  }
}

/** Marks a record that Kafka may have already. The aggregator then searches for its earlier copy. */
export function withResentHeaders(record: SpoolRecord): OutgoingRecord {
  return { ...record, headers: resentHeaders };
}
