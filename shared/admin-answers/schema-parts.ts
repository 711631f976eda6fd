import { Type } from 'typebox';
import type { TProperties } from 'typebox';

/** Schemas of which the schemas of response bodies consist. */
export const text = Type.String();
export const time = Type.String({ format: 'date-time' });
export const count = Type.Integer({ minimum: 0 });
export const textOrNull = Type.Unsafe<string | null>({ type: ['string', 'null'] });
export const timeOrNull = Type.Unsafe<string | null>({ type: ['string', 'null'], format: 'date-time' });
export const numberOrNull = Type.Unsafe<number | null>({ type: ['number', 'null'] });

/**
 * An object without further fields. If a response contains a field that the schema lacks, the test that compares the
 * two fails.
 */
export const answer = <Properties extends TProperties>(properties: Properties, description?: string) =>
  Type.Object(properties, {
    additionalProperties: false,
    ...(description === undefined ? {} : { description }),
  });
