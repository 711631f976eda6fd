/** A JSON Schema (draft 2020-12). */
export type JsonSchema = Readonly<Record<string, unknown>>;

/** Checks a JSON value of a topic, and describes the values that pass. */
export interface Check {
  (value: unknown): boolean;
  readonly schema: JsonSchema;
  /** True if the field may be absent. */
  readonly isOptional?: boolean;
}

/** For each field of a type, the function that checks its value. */
export type Shape<Type> = { readonly [Field in keyof Type]-?: Check };

/** True if the value is an object and each checked field passes. Other fields are ignored. */
export function hasShape<Type>(value: unknown, shape: Shape<Type>): value is Type {
  if (!isObject(value)) return false;
  return Object.entries<Check>(shape).every(([field, check]) => check(value[field]));
}

/** The JSON Schema of the objects that `hasShape` accepts. */
export function schemaOf(shape: Readonly<Record<string, Check>>): JsonSchema {
  const fields = Object.entries(shape);
  return {
    type: 'object',
    properties: Object.fromEntries(fields.map(([name, { schema }]) => [name, schema])),
    required: fields.flatMap(([name, { isOptional = false }]) => (isOptional ? [] : [name])),
  };
}

/** A check with the schema that describes it. */
export function checkOf(schema: JsonSchema, check: (value: unknown) => boolean): Check {
  return Object.assign(check, { schema });
}

export function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

export function optional(check: Check): Check {
  const mayBeAbsent = checkOf(check.schema, (value) => value === undefined || check(value));
  return Object.assign(mayBeAbsent, { isOptional: true });
}

export function nullable(check: Check): Check {
  return checkOf({ anyOf: [check.schema, { type: 'null' }] }, (value) => value === null || check(value));
}

export const isFiniteNumber: Check = checkOf({ type: 'number' }, (value) => Number.isFinite(value));

export const isBoolean: Check = checkOf({ type: 'boolean' }, (value) => typeof value === 'boolean');

export function numberFrom(min: number, max = Infinity): Check {
  return checkOf(
    { type: 'number', ...range(min, max) },
    (value) => typeof value === 'number' && Number.isFinite(value) && value >= min && value <= max,
  );
}

export function integerFrom(min: number, max = Infinity): Check {
  return checkOf(
    { type: 'integer', ...range(min, max) },
    (value) => typeof value === 'number' && Number.isInteger(value) && value >= min && value <= max,
  );
}

function range(minimum: number, maximum: number): JsonSchema {
  return Number.isFinite(maximum) ? { minimum, maximum } : { minimum };
}

export function oneOf(values: readonly string[]): Check {
  return checkOf(
    { type: 'string', enum: values },
    (value) => typeof value === 'string' && values.includes(value),
  );
}

/** A text without unpaired surrogates. ClickHouse rejects a text that contains one. */
export function textOf(lengthMin: number, lengthMax: number): Check {
  return checkOf(
    { type: 'string', ...(lengthMin === 0 ? {} : { minLength: lengthMin }), maxLength: lengthMax },
    (value) =>
      typeof value === 'string' &&
      value.length >= lengthMin &&
      value.length <= lengthMax &&
      value.isWellFormed(),
  );
}

export const isText: Check = checkOf({ type: 'string' }, (value) => typeof value === 'string');

export function listOf(check: Check, lengthMax: number): Check {
  return checkOf(
    { type: 'array', items: check.schema, maxItems: lengthMax },
    (value) => Array.isArray(value) && value.length <= lengthMax && value.every((item) => check(item)),
  );
}
