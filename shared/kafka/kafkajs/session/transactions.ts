import type { LogEntry, RecordEntry, UnreadableEntry } from '../decoding/log-entry.ts';

/** Records of transactions that have not ended, held back until they do. */
export interface TransactionHold {
  /** What may be handled now, in the order in which it became so. `place` names the partition. */
  pass(place: string, entries: readonly LogEntry[]): readonly (RecordEntry | UnreadableEntry)[];
  /** The first offset of the partition that is held back; null where none is. Nothing from there on may be committed. */
  heldFrom(place: string): number | null;
  isEmpty(): boolean;
  /** Forgets all of it: it will be read again. */
  clear(): void;
}

interface Open {
  readonly records: RecordEntry[];
  bytes: number;
  /** Too large to be held back: its records pass as they come. */
  passing: boolean;
}

const bytesMaxDefault = 64 * 1024 * 1024;
const recordBytes = 200;

/**
 * Lets a partition be read past a transaction that is open. A reader of committed records would wait in front of it, and
 * every record behind it with him: one producer that leaves a transaction open would hold up all others, for as long as
 * Kafka lets it (`transaction.max.timeout.ms`, 15 minutes). Here only the transaction's own records wait; those of one
 * that is aborted are never handled.
 *
 * Bounded: when more than `bytesMax` is held, the largest transaction is taken for committed. What it then aborts is
 * counted all the same.
 */
export function createTransactionHold(
  onOverflow: (records: number) => void,
  bytesMax = bytesMaxDefault,
): TransactionHold {
  const places = new Map<string, Map<bigint, Open>>();
  let bytes = 0;

  return {
    pass(place, entries) {
      const passed: (RecordEntry | UnreadableEntry)[] = [];
      for (const entry of entries) {
        if (entry.kind === 'unreadable') passed.push(entry);
        else if (entry.kind === 'marker')
          for (const record of end(place, entry.transaction, entry.committed)) passed.push(record);
        else if (entry.kind === 'record' && !hold(place, entry)) passed.push(entry);
        if (bytes > bytesMax) for (const record of giveUpLargest(place)) passed.push(record);
      }
      return passed;
    },
    heldFrom(place) {
      const firsts = [...(places.get(place)?.values() ?? [])].flatMap(({ records }) => records.slice(0, 1));
      return firsts.length === 0 ? null : Math.min(...firsts.map(({ offset }) => Number(offset)));
    },
    isEmpty: () => bytes === 0,
    clear() {
      places.clear();
      bytes = 0;
    },
  };

  function hold(place: string, record: RecordEntry): boolean {
    if (record.transaction === null) return false;
    const open = places.get(place) ?? new Map<bigint, Open>();
    places.set(place, open);
    const transaction = open.get(record.transaction) ?? { records: [], bytes: 0, passing: false };
    open.set(record.transaction, transaction);
    if (transaction.passing) return false;
    const size = recordBytes + (record.value?.length ?? 0) + (record.key?.length ?? 0);
    transaction.records.push({ ...record, key: copied(record.key), value: copied(record.value) });
    transaction.bytes += size;
    bytes += size;
    return true;
  }

  function end(place: string, producerId: bigint, committed: boolean): readonly RecordEntry[] {
    const transaction = places.get(place)?.get(producerId);
    if (transaction === undefined) return [];
    places.get(place)?.delete(producerId);
    bytes -= transaction.bytes;
    return committed ? transaction.records : [];
  }

  /** Of this partition, since what passes has to follow from a fetch of it. */
  function giveUpLargest(place: string): readonly RecordEntry[] {
    const open = [...(places.get(place)?.values() ?? [])];
    const [largest] = open.toSorted((a, b) => b.bytes - a.bytes);
    if (largest === undefined || largest.records.length === 0) return [];
    const records = largest.records.splice(0);
    bytes -= largest.bytes;
    largest.bytes = 0;
    largest.passing = true;
    onOverflow(records.length);
    return records;
  }
}

/** A record is a slice of the whole fetch, which would stay in memory with it. */
function copied(bytes: Buffer | null): Buffer | null {
  return bytes === null ? null : Buffer.from(bytes);
}
