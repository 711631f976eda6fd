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
