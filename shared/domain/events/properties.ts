import { eventBounds } from './bounds.ts';
import { EventRejection } from './fields.ts';
import type { Fields, Json } from './fields.ts';

export type Properties = Readonly<Record<string, string>>;

/**
 * Prefix of properties that store extension attributes. The Kafka protocol binding uses the same prefix for headers.
 */
export const extensionPrefix = 'ce_';

const none: Properties = Object.freeze({});

/**
 * Attributes of CloudEvents itself and of Tollgate: all other attributes are extensions. `dataschema` is missing here
 * because it is stored like an extension.
 */
const attributes: ReadonlySet<string> = new Set([
  'specversion',
  'id',
  'source',
  'type',
  'subject',
  'time',
  'data',
  'data_base64',
  'datacontenttype',
  'spool',
  'spoolsequence',
]);

/** The extension attributes of an event, and `dataschema`, with unchanged names and values. */
export function extensionsOf(event: Json): Json {
  return Object.fromEntries(Object.entries(event).filter(([name]) => !attributes.has(name)));
}

/** Extension attributes of an event as properties: `traceparent` becomes `ce_traceparent`. */
export function extensionProperties(event: Json): Properties {
  let entries: [string, string][] | null = null;
  for (const name in event) {
    const value = event[name];
    if (attributes.has(name) || value === null || value === undefined) continue;
    checkName('an extension attribute', name, eventBounds.extensionNameLengthMax);
    entries ??= [];
    entries.push([extensionPrefix + name, propertyText(name, value)]);
  }
  if (entries === null) return none;
  if (entries.length > eventBounds.extensionsMax) {
    throw new EventRejection(`the event has more than ${eventBounds.extensionsMax} extension attributes`);
  }
  return Object.fromEntries(entries);
}

/** The fields of `data` that have no column of their own, as texts. A field with the value null is ignored. */
export function dataProperties(
  { json, path }: Fields,
  columns: ReadonlySet<string>,
  extensions: Properties,
): Properties {
  const entries: [string, string][] = [];
  for (const name in json) {
    const value = json[name];
    if (columns.has(name) || value === null || value === undefined) continue;
    if (name === 'sample_weight')
      throw new EventRejection(`${path}sample_weight is reserved; choose another name`);
    checkName('a property of data', name, eventBounds.propertyNameLengthMax);
    if (Object.hasOwn(extensions, name)) {
      throw new EventRejection(`${path}${name} has the name under which an extension attribute is stored`);
    }
    entries.push([name, propertyText(path + name, value)]);
  }
  if (entries.length > eventBounds.propertiesMax) {
    throw new EventRejection(`data has more than ${eventBounds.propertiesMax} properties`);
  }
  // `Object.fromEntries` instead of assignments, because a property may be named `__proto__`.
  return entries.length === 0 ? extensions : { ...Object.fromEntries(entries), ...extensions };
}

/** The stored form of a value: a text is unchanged, any other value becomes JSON. */
export function propertyText(path: string, value: unknown): string {
  checkValue(path, value, 2);
  if (typeof value === 'number' && Math.abs(value) > eventBounds.propertyNumberMax) {
    throw new EventRejection(`${path} must be a number within ±2^64; send it as a text`);
  }
  const written = typeof value === 'string' ? value : JSON.stringify(value);
  if (written.length > eventBounds.propertyLengthMax) {
    throw new EventRejection(`${path} is longer than ${eventBounds.propertyLengthMax} characters`);
  }
  return written;
}

function checkName(what: string, name: string, lengthMax: number): void {
  if (name.length > lengthMax) {
    throw new EventRejection(`the name of ${what} is longer than ${lengthMax} characters`);
  }
  if (!name.isWellFormed()) throw new EventRejection(`the name of ${what} is not well-formed Unicode`);
}

/** Throws if JSON or ClickHouse cannot hold the value, or if the value is nested too deeply for recursive code. */
function checkValue(path: string, value: unknown, depth: number): void {
  if (typeof value === 'string') {
    if (!value.isWellFormed()) throw new EventRejection(`${path} is not well-formed Unicode`);
  } else if (typeof value === 'number') {
    if (!Number.isFinite(value)) throw new EventRejection(`${path} has a number that is too large`);
  } else if (typeof value === 'object' && value !== null) {
    if (depth >= eventBounds.depthMax) {
      throw new EventRejection(`the event is nested deeper than ${eventBounds.depthMax} levels`);
    }
    for (const name in value) {
      if (!name.isWellFormed()) throw new EventRejection(`${path} is not well-formed Unicode`);
      checkValue(path, (value as Json)[name], depth + 1);
    }
  }
}
