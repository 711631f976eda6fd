import { withinOr } from '../../../shared/runtime/within.ts';
import type { PendingEvents } from './pending-events.ts';
import type { SpoolReader } from './segments/reader.ts';
import type { SpoolRecord } from './segments/record.ts';
import type { Store } from './store.ts';

export interface BatchSourceOptions {
  /** Null until the folder was read. */
  readonly reader: () => SpoolReader | null;
  readonly pending: PendingEvents;
  readonly store: Pick<Store, 'state' | 'acknowledged'>;
}

/** The side of the sender, which takes one batch after the other: from the disk, and from memory while that fails. */
export interface BatchSource {
  readBatch(recordsMax: number, bytesMax: number): Promise<readonly SpoolRecord[]>;
  /** Kafka has the batch that was taken, up to and with this sequence. */
  acknowledge(sequence: number): void;
  /** The folder was read: Kafka has what is below this sequence. */
  begin(unacknowledged: number): void;
  /** The highest sequence that Kafka has. */
  acknowledged(): number;
  /** When the oldest event of the batch under way was appended, as Unix milliseconds; null when none is. */
  oldestAtMs(): number | null;
  /** Closes the file that is open for reading: a broken file system can be repaired once no file is open on it. */
  release(): Promise<void>;
}

/** What the sender waits for a read before it goes on with what is in memory. */
const readTimeoutMs = 1_000;

export function createBatchSource({ reader, pending, store }: BatchSourceOptions): BatchSource {
  let reading: Promise<readonly SpoolRecord[]> | null = null;
  let batch: { readonly isFromMemory: boolean; readonly oldestAtMs: number } | null = null;

  let highest = 0;

  return {
    readBatch,
    acknowledge,
    begin: (unacknowledged) => void (highest = Math.max(highest, unacknowledged - 1)),
    acknowledged: () => highest,
    oldestAtMs: () => batch?.oldestAtMs ?? null,
    release,
  };

  async function readBatch(recordsMax: number, bytesMax: number): Promise<readonly SpoolRecord[]> {
    const onDisk = await readFromDisk(recordsMax, bytesMax);
    const isFromMemory = onDisk.length === 0 && store.state() !== 'healthy';
    const records = isFromMemory ? pending.readBatch(recordsMax, bytesMax) : onDisk;
    const [oldest] = records;
    if (oldest !== undefined) batch = { isFromMemory, oldestAtMs: oldest.appendedAtMs };
    return records;
  }

  /** What is on the disk; nothing when it does not answer, while there are events in memory to go on with. */
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
      pending.sent(sequence);
      // What is on the disk and could not be read comes before what was sent from memory.
      const source = reader();
      if (source === null || reading !== null || source.unreadBytes() > 0) return;
    }
    store.acknowledged(sequence + 1);
  }

  /** A read that is under way closes its file at its end. */
  async function release(): Promise<void> {
    if (reading === null)
      await reader()
        ?.release()
        .catch(() => undefined);
  }
}
