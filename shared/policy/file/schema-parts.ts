import { Type } from 'typebox';
import { durationPattern } from '../../domain/time/duration.ts';

/** Schema option of objects that rejects unknown keys. */
export const closed = { additionalProperties: false };

/** Each description completes the sentence "… must be …" of an error message. */
export const duration = (example: string) =>
  Type.String({
    pattern: durationPattern,
    description: `a duration: a whole number and ms, s, m, h, d, w or mo, e.g. ${example}`,
  });

export const url = (what: string) =>
  Type.String({ pattern: '^https?://[^\\s]+$', description: `an http or https URL: ${what}` });

export const name = (what: string) =>
  Type.String({
    pattern: '^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$',
    description: `a name for ${what}: up to 64 letters, digits, "-" or "_"`,
  });

export const mode = Type.Enum(['enforce', 'shadow'] as const, {
  description: 'enforce (refuse what is over) or shadow (decide and record, never refuse)',
});

export const units = Type.Integer({
  minimum: 0,
  maximum: 1_000_000_000_000,
  description: 'a whole number of units, 0 (refuse everything) or more',
});

export const measureNamePattern = '^[a-z][a-z0-9_]{0,47}$';

export const measureName = Type.String({
  pattern: measureNamePattern,
  description: 'the name of a measure: up to 48 lower-case letters, digits or "_", e.g. input_tokens',
});
