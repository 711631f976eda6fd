import { Type } from 'typebox';

/** Schemas of fields that several parts of a record have. */
export const timeSchema = Type.String({ format: 'date-time', maxLength: 40, description: 'RFC 3339' });
export const actorSchema = Type.String({ minLength: 1, maxLength: 200, description: 'Who made the change.' });
export const reasonSchema = Type.String({
  minLength: 1,
  maxLength: 500,
  description: 'Reason that the tenant reads; kept in the history.',
});
export const internalNoteLengthMax = 500;
export const internalNoteSchema = Type.String({
  minLength: 1,
  maxLength: internalNoteLengthMax,
  description: 'Note for operators in the history; the tenant never reads it.',
});
export const answerSchema = Type.String({
  minLength: 1,
  maxLength: 500,
  description: 'Answer that the tenant reads.',
});
export const amount = Type.Number({ minimum: 0, maximum: 1e15 });
