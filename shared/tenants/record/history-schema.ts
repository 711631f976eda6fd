import { Type } from 'typebox';
import { historyEntriesMax } from '../../domain/tenant.ts';
import type { FieldChange } from '../../domain/tenant.ts';
import { actorSchema, internalNoteSchema, timeSchema } from './basic-schemas.ts';

/** Values are not checked here: an undo checks the record that results from them. */
const fieldChange = Type.Unsafe<FieldChange>({
  type: 'object',
  properties: {
    field: { type: 'string', maxLength: 40 },
    key: { type: 'string', maxLength: 100, description: 'Element of a list or map: its id or its name.' },
    from: { description: 'Value before the change; null: none.' },
    to: { description: 'Value after the change; null: none.' },
  },
  required: ['field', 'from', 'to'],
});

export const historySchema = Type.Array(
  Type.Object({
    at: timeSchema,
    actor: actorSchema,
    action: Type.String({ minLength: 1, maxLength: 100 }),
    detail: Type.String({ maxLength: 2_000 }),
    internal_note: Type.Optional(internalNoteSchema),
    changes: Type.Optional(
      Type.Array(fieldChange, {
        maxItems: 500,
        description: 'The changed fields; absent: the change cannot be undone.',
      }),
    ),
    undo_of: Type.Optional(Type.String({ maxLength: 64, description: 'Id of the change that was undone.' })),
  }),
  { maxItems: historyEntriesMax },
);

export const noteTextLengthMax = 2_000;

export const noteSchema = Type.Object(
  {
    text: Type.String({ minLength: 1, maxLength: noteTextLengthMax }),
    actor: actorSchema,
    at: timeSchema,
  },
  { description: 'Text about the tenant for operators; the tenant never reads it.' },
);
