import type { MeterDefinition } from '../../domain/meter.ts';
import { requestEventType } from '../../domain/usage-event.ts';

/** Fields of an event's data that have a column of the same name. All other fields are in the column `properties`. */
const columns: ReadonlySet<string> = new Set(['units', 'cost', 'user_id', 'plan', 'route']);
/**
 * Fields that have a column only in the gateway's own events. In events of API servers, a field such as `status` is in
 * `properties`.
 */
const requestColumns: ReadonlySet<string> = new Set([
  ...['latency_ms', 'status', 'method', 'path', 'decision', 'model', 'usage_source', 'reservation'],
]);
/** Maps of the gateway's own events: `quantities.usd` is the amount of the quantity `usd`. */
const requestMaps: ReadonlySet<string> = new Set(['quantities', 'measures', 'reserved']);

/**
 * Returns SQL for the field as text. A name with dots is the path of a member of nested objects, `usage.total`, unless a
 * property has this name. Names are passed as parameters and are never part of the SQL.
 */
export function fieldSql(
  definition: MeterDefinition,
  field: string,
  parameter: string,
  names: Record<string, string>,
): string {
  if (isColumn(definition, field)) return `toString(${field})`;
  const map = mapOf(definition, field);
  if (map !== null) {
    names[parameter] = map.name;
    return `if(mapContains(${map.column}, {${parameter}:String}), toString(${map.column}[{${parameter}:String}]), '')`;
  }
  names[parameter] = field;
  const property = `properties[{${parameter}:String}]`;
  const [first = '', ...path] = field.split('.');
  if (path.length === 0) return property;
  names[`${parameter}Of`] = first;
  const steps = path.map((step, index) => {
    names[`${parameter}Step${index}`] = step;
    return `{${parameter}Step${index}:String}`;
  });
  const member = [`properties[{${parameter}Of:String}]`, ...steps].join(', ');
  // A text is returned without quotes, any other value as JSON, as in the stored form of a property.
  const nested = `if(JSONType(${member}) = 'String', JSONExtractString(${member}), JSONExtractRaw(${member}))`;
  return `if(mapContains(properties, {${parameter}:String}), ${property}, nullIf(${nested}, 'null'))`;
}

/** Returns SQL for a field that is an exact decimal; null for any other field. */
export function decimalSql(
  definition: MeterDefinition,
  field: string,
  parameter: string,
  names: Record<string, string>,
): string | null {
  if (field === 'cost') return 'cost';
  const map = mapOf(definition, field);
  if (map === null || map.column === 'measures') return null;
  names[parameter] = map.name;
  return `if(mapContains(${map.column}, {${parameter}:String}), ${map.column}[{${parameter}:String}], NULL)`;
}

function isColumn({ eventType }: MeterDefinition, field: string): boolean {
  return columns.has(field) || (eventType === requestEventType && requestColumns.has(field));
}

function mapOf(
  { eventType }: MeterDefinition,
  field: string,
): { readonly column: string; readonly name: string } | null {
  const [column = '', name = '', ...others] = field.split('.');
  const isMap =
    eventType === requestEventType && requestMaps.has(column) && name !== '' && others.length === 0;
  return isMap ? { column, name } : null;
}
