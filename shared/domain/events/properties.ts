import { eventBounds } from './bounds.ts';
import { EventRejection } from './fields.ts';
import type { Fields, Json } from './fields.ts';

export type Properties = Readonly<Record<string, string>>;

/** In front of an extension attribute's name where it is stored as a property, as in the Kafka binding. */
export const extensionPrefix = 'ce_';

const none: Properties = Object.freeze({});

/** Attributes that have a place of their own; every other one is an extension, and `dataschema` is kept like one. */
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

/** The extension attributes of an event, and `dataschema`, as they were sent. */
export function extensionsOf(event: Json): Json {
  return Object.fromEntries(Object.entries(event).filter(([name]) => !attributes.has(name)));
}

/** Extension attributes of an event as properties: analysts find `traceparent` as `ce_traceparent`. */
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

/** Fields of `data` without a column of their own, as texts; a field that is null is absent. */
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
  // By entries, not by assignment: a property may be called __proto__.
  return entries.length === 0 ? extensions : { ...Object.fromEntries(entries), ...extensions };
}

/** A value as it is stored: texts as they are, all else as JSON. */
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

/** A value that JSON text and ClickHouse can both hold, nested no deeper than the bound: writing it is recursive. */
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
