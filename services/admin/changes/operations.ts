import { Type } from 'typebox';
import { noteSchema, noteTextLengthMax } from '../../../shared/tenants/record/history-schema.ts';
import type { Operations } from '../answer.ts';
import { TenantParams, actor, entityTag, ifMatch } from '../request-schemas.ts';
import { undoneAnswer } from '../../../shared/admin-answers/change-answers.ts';
import { answer, text } from '../../../shared/admin-answers/schema-parts.ts';

const NoteBody = Type.Object(
  { text: Type.String({ maxLength: noteTextLengthMax, description: 'Empty: removes the note.' }) },
  { additionalProperties: false, examples: [{ text: 'Moves to the pro plan in May, see ticket 812' }] },
);

const UndoBody = Type.Object(
  {
    change_id: Type.Optional(
      Type.String({
        minLength: 1,
        maxLength: 64,
        description:
          'Id of the change in the audit trail; absent: the latest change of the record, unless that is an undo (409).',
      }),
    ),
  },
  { additionalProperties: false },
);

/** Operations on the note about a tenant and on its changes. */
export const changeOperations = {
  setInternalNote: {
    operationId: 'setInternalNote',
    role: 'support',
    tags: ['Tenants'],
    summary: 'Write the note about a tenant for operators',
    description: 'The tenant never reads it. The audit trail has the note before and after.',
    params: TenantParams,
    body: NoteBody,
    requestHeaders: { ...actor, ...ifMatch },
    response: {
      200: answer({ tenant_id: text, internal_note: Type.Union([noteSchema, Type.Null()]) }) as object,
    },
    responseHeaders: { 200: entityTag },
    problems: [409, 412, 422],
  },
  undoChange: {
    operationId: 'undoChange',
    role: 'support',
    tags: ['Controls'],
    summary: 'Undo a change of a tenant',
    description:
      'Restores the values before one of the ten latest changes by operators, if no later change replaced them (409). ' +
      'Needs the role of the change. Resets and API keys cannot be restored. The undo is a change itself.',
    params: TenantParams,
    body: Type.Union([UndoBody, Type.Null()]),
    requestHeaders: actor,
    response: {
      200: undoneAnswer as object,
    },
    problems: [409, 422],
  },
} satisfies Operations;
