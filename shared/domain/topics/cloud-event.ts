import { isJsonType } from '../events/content.ts';
import type { Json } from '../events/fields.ts';
import { eventBounds } from '../events/bounds.ts';
import { readUniqueJson } from '../json-bytes.ts';
import type { TopicRecord } from './record.ts';

/**
 * The parts of a Kafka record from which an event is read. An event without a time gets the timestamp of the
 * record.
 */
export type EventRecord = Pick<TopicRecord, 'value' | 'headers' | 'timestampMs'>;

export type EventInRecord = { readonly event: Json } | { readonly violation: string };

const attributePrefix = 'ce_';
const structuredType = 'application/cloudevents+json';

/**
 * Reads a record of `tollgate.usage.v1` and returns the event in JSON format, as the CloudEvents Kafka protocol
 * binding 1.0 specifies. In structured mode, the value is the event, with or without the header `content-type`. In
 * binary mode, the headers `ce_…` are the attributes and the value is the data. The record's key is ignored.
 */
export function eventOf(record: EventRecord): EventInRecord {
  const type = record.headers['content-type']?.split(';', 1)[0]?.trim().toLowerCase() ?? '';
  const isBinary = !type.startsWith('application/cloudevents') && 'ce_specversion' in record.headers;
  if (!isBinary && type.startsWith('application/cloudevents') && type !== structuredType) {
    return {
      violation: `content-type ${type.slice(0, 100)} is not read; send one event as ${structuredType}`,
    };
  }
  const read = isBinary ? binaryEvent(record, type) : structuredEvent(record);
  const { timestampMs } = record;
  if ('violation' in read || hasValue(read.event['time']) || timestampMs === null) return read;
  return { event: { ...read.event, time: new Date(timestampMs).toISOString() } };
}

function structuredEvent({ value }: EventRecord): EventInRecord {
  if (value === null) return { violation: 'the record has no value' };
  const read = readUniqueJson(value, eventBounds.depthMax);
  if ('problem' in read) return { violation: `the event ${read.problem}` };
  if (typeof read.value !== 'object' || read.value === null || Array.isArray(read.value)) {
    return { violation: 'the event is not a JSON object' };
  }
  return { event: read.value as Json };
}

function binaryEvent({ value, headers }: EventRecord, type: string): EventInRecord {
  const attributes: [string, unknown][] = [];
  for (const [name, text] of Object.entries(headers)) {
    if (!name.startsWith(attributePrefix)) continue;
    // The decoder inserts this character in place of bytes that are not UTF-8.
    if (text.includes('\ufffd')) return { violation: `${name} is not UTF-8` };
    const attribute = name.slice(attributePrefix.length);
    if (attribute !== 'data' && attribute !== 'data_base64') attributes.push([attribute, text]);
  }
  if (value !== null && value.length > 0) {
    if (type !== '' && !isJsonType(headers['content-type'] ?? '')) {
      return { violation: `content-type ${type.slice(0, 100)} is not read; data must be JSON` };
    }
    const read = readUniqueJson(value, eventBounds.depthMax);
    if ('problem' in read) return { violation: `data ${read.problem}` };
    attributes.push(['data', read.value]);
  }
  return { event: Object.fromEntries(attributes) };
}

function hasValue(value: unknown): boolean {
  return value !== undefined && value !== null;
}
