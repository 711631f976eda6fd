import { isUtf8 } from 'node:buffer';
import type { TopicRecord } from '../domain/topics/record.ts';
import type { RecordEntry, RecordHeader } from './kafkajs/decoding/log-entry.ts';

/** A record with its partition and offset, as handlers receive it. */
export interface ConsumedMessage extends TopicRecord {
  readonly topic: string;
  readonly partition: number;
  readonly offset: number;
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
    headers: headersOf(entry.headers),
    timestampMs,
  };
}

/** Of several headers with one name, the last one counts. A header without a value is read as empty. */
function headersOf(headers: readonly RecordHeader[]): Readonly<Record<string, string>> {
  if (headers.length === 0) return noHeaders;
  // `fromEntries` creates an own property even for a header named `__proto__`.
  return Object.fromEntries(headers.map(([name, value]) => [name, value?.toString() ?? '']));
}
