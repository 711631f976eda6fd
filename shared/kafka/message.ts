import { isUtf8 } from 'node:buffer';
import type { TopicRecord } from '../domain/topics/record.ts';
import type { RecordEntry, RecordHeader } from './kafkajs/decoding/log-entry.ts';

/** A record with its place in the log, as handlers receive it. */
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

/** The last of several headers with one name counts; a header without a value is empty. */
function headersOf(headers: readonly RecordHeader[]): Readonly<Record<string, string>> {
  if (headers.length === 0) return noHeaders;
  // `fromEntries` also makes a header named `__proto__` an own property.
  return Object.fromEntries(headers.map(([name, value]) => [name, value?.toString() ?? '']));
}
