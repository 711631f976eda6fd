import type { CorrectionData } from '../../shared/domain/correction.ts';
import { idLengthMax } from '../../shared/domain/identity.ts';

export type Json = Readonly<Record<string, unknown>>;

/** Why an event cannot be stored. Thrown by the readers below and caught in `decode`, which answers it as a value. */
export class Refusal extends Error {}

/** A field without a default must be there. */
export function text(json: Json, name: string, lengthMax: number, lengthMin = 0, absent?: string): string {
  const value = json[name] ?? absent;
  if (typeof value !== 'string') throw new Refusal(`${name} is ${missingOr(value, 'not a text')}`);
  if (value.length < lengthMin) throw new Refusal(`${name} is empty`);
  if (value.length > lengthMax) throw new Refusal(`${name} is longer than ${lengthMax} characters`);
  if (!value.isWellFormed()) throw new Refusal(`${name} is not well-formed Unicode`);
  return value;
}

/** Finite and not below 0: usage is never negative, a correction amends the event instead. */
export function number(json: Json, name: string, absent?: number): number {
  const value = json[name] ?? absent;
  if (typeof value !== 'number' || !Number.isFinite(value) || value < 0) {
    throw new Refusal(`${name} is ${missingOr(value, 'not a number of 0 or more')}`);
  }
  return value;
}

export function integer(json: Json, name: string, max: number): number {
  const value = number(json, name);
  if (!Number.isInteger(value) || value > max) {
    throw new Refusal(`${name} is not a whole number from 0 to ${max}`);
  }
  return value;
}

export function boolean(json: Json, name: string): boolean {
  const value = json[name];
  if (typeof value !== 'boolean')
    throw new Refusal(`${name} is ${missingOr(value, 'neither true nor false')}`);
  return value;
}

const stringsMax = 64;

export function strings(json: Json, name: string): readonly string[] {
  const value = json[name];
  if (!Array.isArray(value) || value.length > stringsMax || !value.every(isText)) {
    throw new Refusal(`${name} is ${missingOr(value, `not a list of at most ${stringsMax} texts`)}`);
  }
  return value;
}

function isText(item: unknown): item is string {
  return typeof item === 'string' && item.isWellFormed();
}

/** A nested object; absent is empty. */
export function object(json: Json, name: string): Json {
  const value = json[name] ?? {};
  if (typeof value !== 'object' || Array.isArray(value)) throw new Refusal(`${name} is not an object`);
  return value as Json;
}

export function correctionOf(data: Json): CorrectionData {
  const properties = object(data, 'properties');
  for (const [name, value] of Object.entries(properties)) {
    if (!['string', 'number', 'boolean'].includes(typeof value)) {
      throw new Refusal(`properties.${name} is neither a text nor a number nor a boolean`);
    }
  }
  return {
    event_id: text(data, 'event_id', idLengthMax, 1),
    ...(data['event_source'] === undefined
      ? {}
      : { event_source: text(data, 'event_source', idLengthMax, 1) }),
    ...(data['units'] === undefined ? {} : { units: number(data, 'units') }),
    ...(data['cost'] === undefined ? {} : { cost: number(data, 'cost') }),
    properties: properties as Readonly<Record<string, string | number | boolean>>,
  };
}

function missingOr(value: unknown, wrong: string): string {
  return value === undefined || value === null ? 'missing' : wrong;
}
