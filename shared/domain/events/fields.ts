import { statedMoney } from '../money.ts';
import type { Money } from '../money.ts';

export type Json = Readonly<Record<string, unknown>>;

/** Reason for rejecting an event. The functions below throw it; `readEvent` catches it and returns it as a value. */
export class EventRejection extends Error {}

/** An object of the event, and its path as error messages show it before a field name, e.g. `data.`. */
export interface Fields {
  readonly json: Json;
  readonly path: string;
}

export function fieldsOf(json: Json, path = ''): Fields {
  return { json, path };
}

/** A text with at least one character. */
export function requiredText(fields: Fields, name: string, lengthMax: number): string {
  const value = text(fields, name, lengthMax);
  if (value === '') throw new EventRejection(`${fields.path}${name} must be a text that is not empty`);
  return value;
}

/** Returns `absent` if the field is absent or null. Without the argument `absent` the field is required. */
export function text({ json, path }: Fields, name: string, lengthMax: number, absent?: string): string {
  const value = json[name] ?? absent;
  if (typeof value !== 'string')
    throw new EventRejection(`${path}${name} ${missingOr(value, 'must be a text')}`);
  if (value.length > lengthMax) {
    throw new EventRejection(`${path}${name} is longer than ${lengthMax} characters`);
  }
  if (!value.isWellFormed()) throw new EventRejection(`${path}${name} is not well-formed Unicode`);
  return value;
}

/** A number from 0 to `max`. Usage is never negative: an amend event lowers it instead. */
export function number({ json, path }: Fields, name: string, max: number, absent?: number): number {
  const value = json[name] ?? absent;
  if (typeof value !== 'number' || !(value >= 0 && value <= max)) {
    throw new EventRejection(`${path}${name} ${missingOr(value, `must be a number from 0 to ${max}`)}`);
  }
  return value;
}

const moneyShape = /^\d{1,20}(\.\d{1,30})?$/;

/** A number, or a decimal text for a value with more digits than a number can hold. */
export function money({ json, path }: Fields, name: string, max: number, absent?: Money): Money {
  const value = json[name];
  if (absent !== undefined && (value === undefined || value === null)) return absent;
  const stated = typeof value === 'number' || (typeof value === 'string' && moneyShape.test(value));
  if (!stated || !(Number(value) >= 0 && Number(value) <= max)) {
    throw new EventRejection(`${path}${name} ${missingOr(value, `must be a number from 0 to ${max}`)}`);
  }
  return statedMoney(value) ?? 0n;
}

export function integer(fields: Fields, name: string, max: number): number {
  const value = number(fields, name, max);
  if (!Number.isInteger(value)) {
    throw new EventRejection(`${fields.path}${name} must be a whole number from 0 to ${max}`);
  }
  return value;
}

/** A whole number from `-max` to `max`. */
export function signedInteger({ json, path }: Fields, name: string, max: number, absent: number): number {
  const value = json[name] ?? absent;
  if (typeof value !== 'number' || !Number.isInteger(value) || Math.abs(value) > max) {
    throw new EventRejection(`${path}${name} must be a whole number from -${max} to ${max}`);
  }
  return value;
}

export function boolean({ json, path }: Fields, name: string): boolean {
  const value = json[name];
  if (typeof value !== 'boolean') {
    throw new EventRejection(`${path}${name} ${missingOr(value, 'must be true or false')}`);
  }
  return value;
}

export function texts({ json, path }: Fields, name: string, countMax: number): readonly string[] {
  const value = json[name];
  if (!Array.isArray(value) || value.length > countMax || !value.every(isText)) {
    throw new EventRejection(
      `${path}${name} ${missingOr(value, `must be a list of at most ${countMax} texts`)}`,
    );
  }
  return value;
}

/** A nested object; an empty object if the field is absent. */
export function object({ json, path }: Fields, name: string): Json {
  const value = json[name] ?? {};
  if (typeof value !== 'object' || Array.isArray(value)) {
    throw new EventRejection(`${path}${name} must be a JSON object`);
  }
  return value as Json;
}

function isText(item: unknown): item is string {
  return typeof item === 'string' && item.isWellFormed();
}

function missingOr(value: unknown, wrong: string): string {
  return value === undefined || value === null ? 'is missing' : wrong;
}
