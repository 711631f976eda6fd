import type { LogEntry, RecordEntry, UnreadableEntry } from '../decoding/log-entry.ts';

/** Holds back the records of open transactions until their transaction ends. `partition` is a `partitionKey`. */
export interface TransactionHold {
  /** Adds the entries of a fetch. Returns the entries that may be handled now. */
  release(partition: string, entries: readonly LogEntry[]): readonly (RecordEntry | UnreadableEntry)[];
  /** Returns the first offset that is held back in the partition, or null. Only offsets before it may be committed. */
  heldFrom(partition: string): number | null;
  isEmpty(): boolean;
  /** Drops all records that are held back, because they will be fetched again. */
  clear(): void;
}

interface OpenTransaction {
  readonly records: RecordEntry[];
  bytes: number;
  /** True if the transaction was too large to be held back: its records are released at once. */
  isReleased: boolean;
}

const bytesMaxDefault = 64 * 1024 * 1024;
const recordBytes = 200;

/**
 * Lets a consumer read past an open transaction. A `read_committed` consumer stops before it, so one producer that
 * leaves a transaction open would delay the records of all others, for as long as Kafka allows
 * (`transaction.max.timeout.ms`, 15 minutes). Here only the records of the transaction wait, and the records of an
 * aborted transaction are never handled.
 *
 * The memory is bounded: when more than `bytesMax` bytes are held back, the largest transaction is treated as
 * committed. Its records count, even if its producer aborts it later.
 */
export function createTransactionHold(
  onOverflow: (records: number) => void,
  bytesMax = bytesMaxDefault,
): TransactionHold {
  const partitions = new Map<string, Map<bigint, OpenTransaction>>();
  let bytes = 0;

  return {
    release(partition, entries) {
      const released: (RecordEntry | UnreadableEntry)[] = [];
      for (const entry of entries) {
        if (entry.kind === 'unreadable') released.push(entry);
        else if (entry.kind === 'marker')
          for (const record of end(partition, entry.transaction, entry.committed)) released.push(record);
        else if (entry.kind === 'record' && !hold(partition, entry)) released.push(entry);
        if (bytes > bytesMax) for (const record of releaseLargest(partition)) released.push(record);
      }
      return released;
    },
    heldFrom(partition) {
      const firsts = [...(partitions.get(partition)?.values() ?? [])].flatMap(({ records }) =>
        records.slice(0, 1),
      );
      return firsts.length === 0 ? null : Math.min(...firsts.map(({ offset }) => Number(offset)));
    },
    isEmpty: () => bytes === 0,
    clear() {
      partitions.clear();
      bytes = 0;
    },
  };

  function hold(partition: string, record: RecordEntry): boolean {
    if (record.transaction === null) return false;
    const open = partitions.get(partition) ?? new Map<bigint, OpenTransaction>();
    partitions.set(partition, open);
    const transaction = open.get(record.transaction) ?? { records: [], bytes: 0, isReleased: false };
    open.set(record.transaction, transaction);
    if (transaction.isReleased) return false;
    const size = recordBytes + (record.value?.length ?? 0) + (record.key?.length ?? 0);
    transaction.records.push({ ...record, key: copied(record.key), value: copied(record.value) });
    transaction.bytes += size;
    bytes += size;
    return true;
  }

  function end(partition: string, producerId: bigint, committed: boolean): readonly RecordEntry[] {
    const transaction = partitions.get(partition)?.get(producerId);
    if (transaction === undefined) return [];
    partitions.get(partition)?.delete(producerId);
    bytes -= transaction.bytes;
    return committed ? transaction.records : [];
  }

  /**
   * Releases the largest transaction of this partition only, because released records must belong to the fetch that is
   * being processed.
   */
  function releaseLargest(partition: string): readonly RecordEntry[] {
    const open = [...(partitions.get(partition)?.values() ?? [])];
    const [largest] = open.toSorted((a, b) => b.bytes - a.bytes);
    if (largest === undefined || largest.records.length === 0) return [];
    const records = largest.records.splice(0);
    bytes -= largest.bytes;
    largest.bytes = 0;
    largest.isReleased = true;
    onOverflow(records.length);
    return records;
  }
}

/** Copies the bytes: a record is a slice of the fetched buffer and would keep the whole fetch in memory. */
function copied(bytes: Buffer | null): Buffer | null {
  return bytes === null ? null : Buffer.from(bytes);
}
