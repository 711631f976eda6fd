import type { CorrectionData } from './correction.ts';
import { idLengthMax } from '../identity.ts';
import type { CallUsageData } from '../usage-event.ts';
import { instantExample, readInstant } from '../time/instant.ts';
import { eventBounds } from './bounds.ts';
import { EventRejection, fieldsOf, integer, money, number, object, requiredText } from './fields.ts';
import type { Fields } from './fields.ts';
import { dataProperties } from './properties.ts';
import type { Properties } from './properties.ts';

/**
 * Fields of a correction event without the usage of a call, which `readCallUsageChange` reads. The properties have the
 * form in which they are stored.
 */
export interface CorrectionFields extends Omit<CorrectionData, keyof CallUsageData | 'reservation'> {
  readonly properties: Properties;
}

const instantLengthMax = 64;

/** Reads the `data` of an amend or void event. */
export function readCorrection(data: Fields): CorrectionFields {
  const { event_source: source, event_time: time, units, cost, status, latency_ms: latencyMs } = data.json;
  return {
    event_id: requiredText(data, 'event_id', idLengthMax),
    ...(isPresent(source) ? { event_source: requiredText(data, 'event_source', idLengthMax) } : {}),
    ...(isPresent(time) ? { event_time: instant(data, 'event_time') } : {}),
    ...(isPresent(units) ? { units: number(data, 'units', eventBounds.unitsMax) } : {}),
    ...(isPresent(cost) ? { cost: statedCost(data) } : {}),
    ...(isPresent(status) ? { status: integer(data, 'status', 999) } : {}),
    ...(isPresent(latencyMs) ? { latency_ms: number(data, 'latency_ms', eventBounds.latencyMsMax) } : {}),
    properties: propertiesOf(data),
  };
}

/** Reads the time of the corrected event. Returns the text unchanged, including its offset from UTC. */
function instant(data: Fields, name: string): string {
  const value = requiredText(data, name, instantLengthMax);
  if (readInstant(value) !== null) return value;
  throw new EventRejection(`data.${name} must be an RFC 3339 time, e.g. ${instantExample}`);
}

/** Reads the cost, a number or a decimal text, and returns it unchanged. */
function statedCost(data: Fields): number | string {
  money(data, 'cost', eventBounds.costMax);
  return data.json['cost'] as number | string;
}

const noColumns: ReadonlySet<string> = new Set();

function propertiesOf(data: Fields): Properties {
  const properties = fieldsOf(object(data, 'properties'), 'data.properties.');
  for (const [name, value] of Object.entries(properties.json)) {
    if (!['string', 'number', 'boolean'].includes(typeof value)) {
      throw new EventRejection(`data.properties.${name} must be a text, a number or a boolean`);
    }
  }
  return dataProperties(properties, noColumns, {});
}

function isPresent(value: unknown): boolean {
  return value !== undefined && value !== null;
}
