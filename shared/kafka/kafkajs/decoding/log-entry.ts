/** What one offset, or a run of offsets, of a partition holds. */
export type LogEntry = RecordEntry | UnreadableEntry | MarkerEntry | GapEntry;

interface Entry {
  /** Decimal, as kafkajs wants it; of several offsets the last. */
  readonly offset: string;
  /** True for what kafkajs is to pass over. */
  readonly isControlRecord: boolean;
}

export interface RecordEntry extends Entry {
  readonly kind: 'record';
  readonly key: Buffer | null;
  readonly value: Buffer | null;
  readonly headers: readonly RecordHeader[];
  /** Unix milliseconds; null where the producer gave none or an impossible one. */
  readonly timestampMs: number | null;
  /** The producer whose transaction the record belongs to; null for none. */
  readonly transaction: bigint | null;
}

export type RecordHeader = readonly [name: string, value: Buffer | null];

/** A batch, or the rest of one, that cannot be decoded. */
export interface UnreadableEntry extends Entry {
  readonly kind: 'unreadable';
  readonly firstOffset: number;
  readonly lastOffset: number;
  readonly reason: string;
  /** The whole batch as it stands in the log, its header included. */
  readonly bytes: Buffer;
}

/** End of a producer's transaction in this partition. */
export interface MarkerEntry extends Entry {
  readonly kind: 'marker';
  readonly transaction: bigint;
  readonly committed: boolean;
}

/** Offsets without a record: compaction took it, or it concerns brokers only. Tells kafkajs where to read on. */
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

/** -1 is Kafka's way to say that a record has no timestamp. */
export function possibleTime(timestampMs: number): number | null {
  return timestampMs >= 0 && timestampMs <= timeMsMax ? timestampMs : null;
}
