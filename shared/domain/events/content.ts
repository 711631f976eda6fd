import { readUniqueJson } from '../json-bytes.ts';
import { eventBounds } from './bounds.ts';
import { EventRejection, object } from './fields.ts';
import type { Fields, Json } from './fields.ts';

/** True for media types that hold JSON in UTF-8: `application/json`, `application/vnd.acme+json; charset=utf-8`. */
export function isJsonType(mediaType: string): boolean {
  const [type = '', ...parameters] = mediaType.toLowerCase().split(';');
  if (!/^[^\s/]+\/([^\s/]+\+)?json$/.test(type.trim())) return false;
  return parameters.every((parameter) => {
    const [name = '', value = ''] = parameter.split('=');
    return name.trim() !== 'charset' || /^"?(utf-?8|us-ascii)"?$/.test(value.trim());
  });
}

/**
 * Data of an event: the object `data`, or the JSON object encoded in `data_base64`; an empty object if the event has
 * neither.
 */
export function dataOf(event: Fields): Json {
  const encoded = event.json['data_base64'];
  if (encoded === undefined || encoded === null) return object(event, 'data');
  if (event.json['data'] !== undefined)
    throw new EventRejection('an event has data or data_base64, not both');
  const type = event.json['datacontenttype'] ?? 'application/json';
  if (typeof type !== 'string' || !isJsonType(type)) {
    throw new EventRejection('data_base64 must hold JSON, and datacontenttype say so');
  }
  return object({ json: { data_base64: parsed(encoded) }, path: '' }, 'data_base64');
}

function parsed(encoded: unknown): unknown {
  if (typeof encoded !== 'string') throw new EventRejection('data_base64 must be a text');
  const bytes = Buffer.from(encoded, 'base64');
  // `Buffer.from` ignores characters that are not base64, so the result is encoded again and compared with the input.
  if (bytes.toString('base64') !== encoded) throw new EventRejection('data_base64 must be base64 (RFC 4648)');
  const read = readUniqueJson(bytes, eventBounds.depthMax);
  if ('value' in read) return read.value;
  throw new EventRejection(`data_base64 must hold a JSON object in UTF-8, but what it holds ${read.problem}`);
}
