import { isUtf8 } from 'node:buffer';
import type { RecordEntry, RecordHeader } from './kafkajs/decoding/log-entry.ts';

/** A record as a handler gets it. */
export interface ConsumedMessage {
  readonly topic: string;
  readonly partition: number;
  readonly offset: number;
  readonly key: string | null;
  /** The key's bytes, only where they are not UTF-8: `key` then does not say all of it. */
  readonly keyBytes?: Buffer;
  /** Null is a tombstone. */
  readonly value: Buffer | null;
  readonly headers: Readonly<Record<string, string>>;
  /** When Kafka took it or its producer made it, as the topic is configured; Unix milliseconds. Null: not known. */
  readonly timestampMs: number | null;
}

const noHeaders: Readonly<Record<string, string>> = {};

export function consumedMessage(topic: string, partition: number, entry: RecordEntry): ConsumedMessage {
  const { key, value, timestampMs } = entry;
  return {
    topic,
    partition,
    offset: Number(entry.offset),
    key: key?.toString() ?? null,
    ...(key === null || isUtf8(key) ? {} : { keyBytes: key }),
    value,
    headers: textsOf(entry.headers),
    timestampMs,
  };
}

/** Of a header that is given several times the last one stands; one without a value is empty. */
function textsOf(headers: readonly RecordHeader[]): Readonly<Record<string, string>> {
  if (headers.length === 0) return noHeaders;
  // Names are data: `fromEntries` makes them own properties, `__proto__` too.
  return Object.fromEntries(headers.map(([name, value]) => [name, value?.toString() ?? '']));
}
