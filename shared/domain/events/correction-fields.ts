import type { CorrectionData } from '../correction.ts';
import { idLengthMax } from '../identity.ts';
import { instantExample, readInstant } from '../time/instant.ts';
import { eventBounds } from './bounds.ts';
import { EventRejection, fieldsOf, integer, money, number, object, requiredText } from './fields.ts';
import type { Fields } from './fields.ts';
import { dataProperties } from './properties.ts';
import type { Properties } from './properties.ts';

/** What a correction says, its properties as they are stored. */
export interface CorrectionFields extends CorrectionData {
  readonly properties: Properties;
}

/** `data` of an amend or void event. */
const instantLengthMax = 64;

export function readCorrection(data: Fields): CorrectionFields {
  const { event_source: source, event_time: time, units, cost, status, latency_ms: latencyMs } = data.json;
  return {
    event_id: requiredText(data, 'event_id', idLengthMax),
    ...(isGiven(source) ? { event_source: requiredText(data, 'event_source', idLengthMax) } : {}),
    ...(isGiven(time) ? { event_time: instant(data, 'event_time') } : {}),
    ...(isGiven(units) ? { units: number(data, 'units', eventBounds.unitsMax) } : {}),
    ...(isGiven(cost) ? { cost: statedCost(data) } : {}),
    ...(isGiven(status) ? { status: integer(data, 'status', 999) } : {}),
    ...(isGiven(latencyMs) ? { latency_ms: number(data, 'latency_ms', eventBounds.latencyMsMax) } : {}),
    properties: propertiesOf(data),
  };
}

/** As it was sent: readable, with its offset from UTC. */
function instant(data: Fields, name: string): string {
  const value = requiredText(data, name, instantLengthMax);
  if (readInstant(value) !== null) return value;
  throw new EventRejection(`data.${name} must be an RFC 3339 time, e.g. ${instantExample}`);
}

/** As it was sent: a number, or a decimal text. */
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

function isGiven(value: unknown): boolean {
  return value !== undefined && value !== null;
}
