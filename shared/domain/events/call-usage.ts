import { idLengthMax } from '../identity.ts';
import type { Money } from '../money.ts';
import { instantExample, readInstant } from '../time/instant.ts';
import { isMeasureName, isMeasureValue, usageSources } from '../usage/measures.ts';
import type { Measures, UsageSource } from '../usage/measures.ts';
import { isGatewaySource, reservationStates } from '../usage-event.ts';
import type { ReservationState } from '../usage-event.ts';
import { eventBounds } from './bounds.ts';
import { EventRejection, fieldsOf, integer, money, object, requiredText, text } from './fields.ts';
import type { Fields } from './fields.ts';

/** Amounts by the name of their quantity, as exact decimals with 12 places. */
export type ExactAmounts = Readonly<Record<string, Money>>;

/** Usage of one call to an upstream in the form in which it is stored. See `CallUsageData` and `ReservationData`. */
export interface CallUsage {
  /** Empty if the model is unknown. */
  readonly model: string;
  readonly quantities: ExactAmounts;
  readonly measures: Measures;
  readonly usageSource: UsageSource | '';
  /** Empty for a call without a reservation. */
  readonly reservation: ReservationState | '';
  /** Empty if the reservation has the id of the event. */
  readonly reservationId: string;
  readonly reserved: ExactAmounts;
  /** End of the reservation, Unix milliseconds; 0 without a reservation. */
  readonly reservedUntilMs: number;
  /** Number of the last settlement; 0 if it had no number. */
  readonly settlement: number;
}

/** The part of a call's usage that an amend event changes. A field that is absent keeps its value. */
export interface CallUsageChange extends Partial<
  Pick<CallUsage, 'model' | 'quantities' | 'measures' | 'usageSource' | 'reserved' | 'reservedUntilMs'>
> {
  /** Null if the amend does not change the reservation. */
  readonly reservation: ReservationState | null;
  readonly settlement: number;
}

const nothing = Object.freeze({});

/** The usage of all other events. It is one object, so that they need no memory for it. */
export const noCallUsage: CallUsage = Object.freeze({
  model: '',
  quantities: nothing,
  measures: nothing,
  usageSource: '',
  reservation: '',
  reservationId: '',
  reserved: nothing,
  reservedUntilMs: 0,
  settlement: 0,
});

const names = ['model', 'quantities', 'measures', 'usage_source', 'reservation'] as const;

/** Source and time of an event. */
interface Origin {
  readonly source: string;
  readonly timeMs: number;
}

/** Reads the usage of a call from the `data` of a request event. */
export function readCallUsage(data: Fields, origin: Origin): CallUsage {
  if (!hasUsage(data, origin)) return noCallUsage;
  const usage = { ...noCallUsage, ...usageFields(data) };
  if (!isPresent(data.json['reservation'])) return usage;
  const fields = fieldsOf(object(data, 'reservation'), 'data.reservation.');
  const reserved = amounts(fields, 'reserved');
  return {
    ...usage,
    quantities: isPresent(data.json['quantities']) ? usage.quantities : reserved,
    reservation: stateOf(fields),
    reservationId: text(fields, 'id', idLengthMax, ''),
    reserved,
    reservedUntilMs: endOf(fields, origin),
  };
}

/** Reads a change of a call's usage from the `data` of an amend event; null if there is none. */
export function readCallUsageChange(data: Fields, origin: Origin): CallUsageChange | null {
  if (!hasUsage(data, origin)) return null;
  const usage = usageFields(data);
  if (!isPresent(data.json['reservation'])) return { ...usage, reservation: null, settlement: 0 };
  const fields = fieldsOf(object(data, 'reservation'), 'data.reservation.');
  const { reserved, expires_at: expiresAt, number } = fields.json;
  return {
    ...usage,
    reservation: stateOf(fields),
    ...(isPresent(reserved) ? { reserved: amounts(fields, 'reserved') } : {}),
    ...(isPresent(expiresAt) ? { reservedUntilMs: endOf(fields, origin) } : {}),
    settlement: isPresent(number) ? integer(fields, 'number', eventBounds.settlementsMax) : 0,
  };
}

/** Throws if the event has usage of a call but was not sent by a gateway. */
function hasUsage({ json, path }: Fields, { source }: Origin): boolean {
  for (const name of names) {
    if (!isPresent(json[name])) continue;
    if (isGatewaySource(source)) return true;
    throw new EventRejection(`${path}${name} is for gateways only`);
  }
  return false;
}

function usageFields(
  data: Fields,
): Pick<CallUsageChange, 'model' | 'quantities' | 'measures' | 'usageSource'> {
  const { model, quantities, measures, usage_source: usageSource } = data.json;
  return {
    ...(isPresent(model) ? { model: requiredText(data, 'model', eventBounds.modelLengthMax) } : {}),
    ...(isPresent(quantities) ? { quantities: amounts(data, 'quantities') } : {}),
    ...(isPresent(measures) ? { measures: measuresOf(data) } : {}),
    ...(isPresent(usageSource) ? { usageSource: oneOf(data, 'usage_source', usageSources) } : {}),
  };
}

function amounts(data: Fields, name: string): ExactAmounts {
  const fields = namedValues(data, name);
  const entries = Object.keys(fields.json).map(
    (quantity) => [quantity, money(fields, quantity, eventBounds.quantityMax)] as const,
  );
  return Object.fromEntries(entries);
}

function measuresOf(data: Fields): Measures {
  const { json, path } = namedValues(data, 'measures');
  for (const [measure, value] of Object.entries(json)) {
    if (isMeasureValue(value)) continue;
    throw new EventRejection(`${path}${measure} must be a whole number from 0 to ${Number.MAX_SAFE_INTEGER}`);
  }
  return json as Measures;
}

/** The object `name` of the data; throws if it has too many names, or a name that no quantity or measure may have. */
function namedValues(data: Fields, name: string): Fields {
  const json = object(data, name);
  const keys = Object.keys(json);
  if (keys.length > eventBounds.quantitiesMax) {
    throw new EventRejection(`${data.path}${name} has more than ${eventBounds.quantitiesMax} names`);
  }
  if (keys.every(isMeasureName)) return fieldsOf(json, `${data.path}${name}.`);
  throw new EventRejection(
    `each name in ${data.path}${name} must have 1 to 48 characters a-z, 0-9 and _, and begin with a letter`,
  );
}

function stateOf(fields: Fields): ReservationState {
  return oneOf(fields, 'state', reservationStates);
}

function oneOf<Value extends string>(fields: Fields, name: string, values: readonly Value[]): Value {
  const stated = fields.json[name];
  const value = values.find((one) => one === stated);
  if (value !== undefined) return value;
  throw new EventRejection(`${fields.path}${name} must be one of: ${values.join(', ')}`);
}

/** The end of the reservation, in Unix milliseconds. */
function endOf(fields: Fields, { timeMs }: Origin): number {
  const endMs = readInstant(requiredText(fields, 'expires_at', 64));
  if (endMs === null) {
    throw new EventRejection(`${fields.path}expires_at must be an RFC 3339 time, e.g. ${instantExample}`);
  }
  if (Math.abs(endMs - timeMs) <= eventBounds.reservationMsMax) return endMs;
  throw new EventRejection(`${fields.path}expires_at is more than 31 days from the time of the event`);
}

function isPresent(value: unknown): boolean {
  return value !== undefined && value !== null;
}
