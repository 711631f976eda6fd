import type { IncomingHttpHeaders } from 'node:http';
import { isUtf8 } from 'node:buffer';
import { eventBounds } from '../../../shared/domain/events/bounds.ts';
import { isJsonType } from '../../../shared/domain/events/content.ts';
import type { Json } from '../../../shared/domain/events/fields.ts';
import { readUniqueJson } from '../../../shared/domain/json-bytes.ts';
import { beginsArray, jsonMembers } from './json-members.ts';

/** One event of a request as parsed JSON, or the reason why it cannot be parsed. */
export type Member = { readonly event: Json } | { readonly violation: string };

export type RequestEvents =
  { readonly members: readonly Member[] } | { readonly status: 400 | 413 | 415; readonly detail: string };

export interface EventMessage {
  readonly headers: IncomingHttpHeaders;
  /**
   * Header names and values alternately, as Node received them. Unlike in `headers`, a repeated field appears twice.
   */
  readonly rawHeaders: readonly string[];
  readonly body: Buffer;
}

const singleType = 'application/cloudevents+json';
const batchType = 'application/cloudevents-batch+json';
const attributePrefix = 'ce-';

/**
 * Reads the events of a request by the CloudEvents HTTP protocol binding 1.0: structured, batched, or binary. In binary
 * mode the `ce-` headers hold the attributes, and the body is the data as any JSON value; an empty body means no data.
 */
export function eventsOf(message: EventMessage): RequestEvents {
  const { headers, body } = message;
  const contentType = headers['content-type'] ?? '';
  const type = contentType.split(';', 1)[0]?.trim().toLowerCase() ?? '';
  if (type === batchType) return batchOf(body);
  if (type === singleType) return { members: [structured(body)] };
  const isBinary =
    !type.startsWith('application/cloudevents') &&
    Object.keys(headers).some((name) => name.startsWith(attributePrefix));
  if (!isBinary)
    return { status: 415, detail: `Send ${singleType}, ${batchType}, or a JSON body with ce- headers.` };
  if (body.length > 0 && type !== '' && !isJsonType(contentType)) {
    return {
      status: 415,
      detail: 'The data of an event must be JSON in UTF-8: application/json or a …+json type.',
    };
  }
  return { members: [binary(message)] };
}

/** Reads one event or an array of events. OpenMeter sends both as application/json. */
export function plainEventsOf(body: Buffer): RequestEvents {
  return beginsArray(body) ? batchOf(body) : { members: [structured(body)] };
}

function batchOf(body: Buffer): RequestEvents {
  const { batchEventsMax } = eventBounds;
  const members = jsonMembers(body, batchEventsMax);
  if (members === null) return { status: 400, detail: 'A batch must be a JSON array of events.' };
  const { texts, count } = members;
  if (count === 0) return { status: 400, detail: 'The batch is empty.' };
  if (count > batchEventsMax) {
    return { status: 413, detail: `A batch takes up to ${batchEventsMax} events; this one has ${count}.` };
  }
  return { members: texts.map(structured) };
}

function structured(text: Buffer): Member {
  const read = readUniqueJson(text, eventBounds.depthMax);
  if ('problem' in read) return { violation: `the event ${read.problem}` };
  return typeof read.value === 'object' && read.value !== null && !Array.isArray(read.value)
    ? { event: read.value as Json }
    : { violation: 'the event is not a JSON object' };
}

function binary({ rawHeaders, body }: EventMessage): Member {
  const attributes = new Map<string, unknown>();
  for (let at = 0; at < rawHeaders.length; at += 2) {
    const header = rawHeaders[at]?.toLowerCase() ?? '';
    if (!header.startsWith(attributePrefix)) continue;
    const name = header.slice(attributePrefix.length);
    if (name === 'data' || name === 'data_base64')
      return { violation: `${header} is not an attribute: data is the body` };
    if (attributes.has(name)) return { violation: `${header} occurs twice` };
    const value = headerText(rawHeaders[at + 1] ?? '');
    if (value === null) return { violation: `${header} is not UTF-8` };
    attributes.set(name, value);
  }
  if (body.length > 0) {
    const read = readUniqueJson(body, eventBounds.depthMax);
    if ('problem' in read) return { violation: `the data ${read.problem}` };
    attributes.set('data', read.value);
  }
  return { event: Object.fromEntries(attributes) };
}

/**
 * Decodes a header value by section 3.1.3.2 of the binding: removes the quotes of a quoted string, then percent-decodes
 * once to UTF-8. A `%` without two hexadecimal digits stays. Returns null if the result is not UTF-8.
 */
function headerText(value: string): string | null {
  const unquoted = /^"(?:[^"\\]|\\.)*"$/.test(value) ? value.slice(1, -1).replace(/\\(.)/g, '$1') : value;
  // Node reads the bytes of a header as Latin-1.
  const bytes = Buffer.from(
    unquoted.replace(/%([0-9a-fA-F]{2})/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16))),
    'latin1',
  );
  return isUtf8(bytes) ? bytes.toString('utf8') : null;
}
