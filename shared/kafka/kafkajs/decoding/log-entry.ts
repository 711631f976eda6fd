/** The content of one offset, or of several consecutive offsets, of a partition. */
export type LogEntry = RecordEntry | UnreadableEntry | MarkerEntry | GapEntry;

interface Entry {
  /** The last offset of the entry, in decimal form as kafkajs requires. */
  readonly offset: string;
  /** True where kafkajs must not deliver the entry. */
  readonly isControlRecord: boolean;
}

export interface RecordEntry extends Entry {
  readonly kind: 'record';
  readonly key: Buffer | null;
  readonly value: Buffer | null;
  readonly headers: readonly RecordHeader[];
  /** Unix milliseconds; null where the producer set no time or an impossible one. */
  readonly timestampMs: number | null;
  /** Producer id of the transaction of the record; null where it has none. */
  readonly transaction: bigint | null;
}

export type RecordHeader = readonly [name: string, value: Buffer | null];

/** A batch, or the remaining records of a batch, that cannot be decoded. */
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

/** Offsets without a record for consumers: compacted, or a control record. Moves the fetch position of kafkajs past them. */
export interface GapEntry extends Entry {
  readonly kind: 'gap';
}

export function gap(lastOffset: number): GapEntry {
  return { kind: 'gap', offset: String(lastOffset), isControlRecord: true };
}

export function unreadable(entry: Omit<UnreadableEntry, 'kind' | 'offset' | 'isControlRecord'>): LogEntry {
  return { kind: 'unreadable', offset: String(entry.lastOffset), isControlRecord: false, ...entry };
}

/** The largest time that a Date can hold. */
const timeMsMax = 8.64e15;

/** A record without a timestamp has -1. */
export function possibleTime(timestampMs: number): number | null {
  return timestampMs >= 0 && timestampMs <= timeMsMax ? timestampMs : null;
}
