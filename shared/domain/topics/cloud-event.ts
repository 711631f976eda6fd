import { isJsonType } from '../events/content.ts';
import type { Json } from '../events/fields.ts';
import { eventBounds } from '../events/bounds.ts';
import { readUniqueJson } from '../json-bytes.ts';

/** The parts of a Kafka record from which the CloudEvents Kafka protocol binding builds an event. */
export interface EventRecord {
  readonly value: Buffer | null;
  readonly headers: Readonly<Record<string, string>>;
  /** Time of an event that has no `time`; null if the record has no timestamp. */
  readonly timestampMs: number | null;
}

export type EventInRecord = { readonly event: Json } | { readonly problem: string };

const attributePrefix = 'ce_';
const structuredType = 'application/cloudevents+json';

/**
 * The event of a record in JSON format, by the CloudEvents Kafka protocol binding 1.0: structured (the value is the event,
 * as Tollgate writes it, with or without the header `content-type`) or binary (headers `ce_…` hold the attributes, the
 * value holds the data). The key is not part of the event.
 */
export function eventOf(record: EventRecord): EventInRecord {
  const type = record.headers['content-type']?.split(';', 1)[0]?.trim().toLowerCase() ?? '';
  const isBinary = !type.startsWith('application/cloudevents') && 'ce_specversion' in record.headers;
  if (!isBinary && type.startsWith('application/cloudevents') && type !== structuredType) {
    return { problem: `content-type ${type.slice(0, 100)} is not read; send one event as ${structuredType}` };
  }
  const read = isBinary ? binaryEvent(record, type) : structuredEvent(record);
  const { timestampMs } = record;
  if ('problem' in read || hasValue(read.event['time']) || timestampMs === null) return read;
  return { event: { ...read.event, time: new Date(timestampMs).toISOString() } };
}

function structuredEvent({ value }: EventRecord): EventInRecord {
  if (value === null) return { problem: 'the record has no value' };
  const read = readUniqueJson(value, eventBounds.depthMax);
  if ('problem' in read) return { problem: `the event ${read.problem}` };
  if (typeof read.value !== 'object' || read.value === null || Array.isArray(read.value)) {
    return { problem: 'the event is not a JSON object' };
  }
  return { event: read.value as Json };
}

function binaryEvent({ value, headers }: EventRecord, type: string): EventInRecord {
  const attributes: [string, unknown][] = [];
  for (const [name, text] of Object.entries(headers)) {
    if (!name.startsWith(attributePrefix)) continue;
    // Invalid UTF-8 was decoded to this character.
    if (text.includes('\ufffd')) return { problem: `${name} is not UTF-8` };
    const attribute = name.slice(attributePrefix.length);
    if (attribute !== 'data' && attribute !== 'data_base64') attributes.push([attribute, text]);
  }
  if (value !== null && value.length > 0) {
    if (type !== '' && !isJsonType(headers['content-type'] ?? '')) {
      return { problem: `content-type ${type.slice(0, 100)} is not read; data must be JSON` };
    }
    const read = readUniqueJson(value, eventBounds.depthMax);
    if ('problem' in read) return { problem: `data ${read.problem}` };
    attributes.push(['data', read.value]);
  }
  return { event: Object.fromEntries(attributes) };
}

function hasValue(value: unknown): boolean {
  return value !== undefined && value !== null;
}
