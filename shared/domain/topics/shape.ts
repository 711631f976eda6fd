/** Checks for the JSON values of topics. */
export type Check = (value: unknown) => boolean;

/** For each field of a type, the function that checks its value. */
export type Shape<Type> = { readonly [Field in keyof Type]-?: Check };

/** True if the value is an object and each checked field passes. Other fields are ignored. */
export function hasShape<Type>(value: unknown, shape: Shape<Type>): value is Type {
  if (!isObject(value)) return false;
  return Object.entries<Check>(shape).every(([field, check]) => check(value[field]));
}

export function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

export function optional(check: Check): Check {
  return (value) => value === undefined || check(value);
}

export function nullable(check: Check): Check {
  return (value) => value === null || check(value);
}

export const isFiniteNumber: Check = (value) => Number.isFinite(value);

export function numberFrom(min: number, max = Infinity): Check {
  return (value) => typeof value === 'number' && Number.isFinite(value) && value >= min && value <= max;
}

export function integerFrom(min: number, max = Infinity): Check {
  return (value) => typeof value === 'number' && Number.isInteger(value) && value >= min && value <= max;
}

export function oneOf(values: readonly string[]): Check {
  return (value) => typeof value === 'string' && values.includes(value);
}

/** A text without unpaired surrogates. ClickHouse rejects a text that contains one. */
export function textOf(lengthMin: number, lengthMax: number): Check {
  return (value) =>
    typeof value === 'string' &&
    value.length >= lengthMin &&
    value.length <= lengthMax &&
    value.isWellFormed();
}

export function listOf(check: Check, lengthMax: number): Check {
  return (value) => Array.isArray(value) && value.length <= lengthMax && value.every(check);
}
