/** The content of one offset, or of several consecutive offsets, of a partition. */
export type LogEntry = RecordEntry | UnreadableEntry | MarkerEntry | GapEntry;

interface Entry {
  /** The last offset of the entry, in decimal form as kafkajs requires. */
  readonly offset: string;
  /** True if kafkajs must not deliver the entry. */
  readonly isControlRecord: boolean;
}

export interface RecordEntry extends Entry {
  readonly kind: 'record';
  readonly key: Buffer | null;
  readonly value: Buffer | null;
  readonly headers: readonly RecordHeader[];
  /** Unix milliseconds; null if the producer set no timestamp or an impossible one. */
  readonly timestampMs: number | null;
  /** Producer id of the record's transaction; null if the record belongs to no transaction. */
  readonly transaction: bigint | null;
}

export type RecordHeader = readonly [name: string, value: Buffer | null];

/** A batch that cannot be decoded, or those records of a batch that follow a malformed record. */
export interface UnreadableEntry extends Entry {
  readonly kind: 'unreadable';
  readonly firstOffset: number;
  readonly lastOffset: number;
  readonly reason: string;
  /** The complete batch in the log, with its header. */
  readonly bytes: Buffer;
}

/** End of a producer's transaction in this partition. */
export interface MarkerEntry extends Entry {
  readonly kind: 'marker';
  readonly transaction: bigint;
  readonly committed: boolean;
}

/**
 * Offsets that have no record for consumers: compaction removed the record, or it is a control record. The entry moves
 * the fetch position of kafkajs past these offsets.
 */
export interface GapEntry extends Entry {
  readonly kind: 'gap';
}

export function gap(lastOffset: number): GapEntry {
  return { kind: 'gap', offset: String(lastOffset), isControlRecord: true };
}

export function unreadable(entry: Omit<UnreadableEntry, 'kind' | 'offset' | 'isControlRecord'>): LogEntry {
  return { kind: 'unreadable', offset: String(entry.lastOffset), isControlRecord: false, ...entry };
}

/** The largest time that a JavaScript Date can hold. */
const timeMsMax = 8.64e15;

/** -1 stands for a missing timestamp. */
export function possibleTime(timestampMs: number): number | null {
  return timestampMs >= 0 && timestampMs <= timeMsMax ? timestampMs : null;
}
