import { Type } from 'typebox';
import { durationPattern } from '../../domain/time/duration.ts';

/** For objects: unknown keys are refused. */
export const closed = { additionalProperties: false };

/** Every description completes the sentence "… must be …": it is what an error tells the author of a bad line to write. */
export const duration = (example: string) =>
  Type.String({
    pattern: durationPattern,
    description: `a duration: a whole number and ms, s, m, h, d, w or mo, e.g. ${example}`,
  });

export const url = (what: string) =>
  Type.String({ pattern: '^https?://[^\\s]+$', description: `an http or https URL: ${what}` });
