import { Type } from 'typebox';
import type { Static } from 'typebox';
import { answer, text } from './schema-parts.ts';

/** Response bodies of test messages and of undone changes. */
export const testAlertAnswer = answer({
  tenant_id: text,
  targets: Type.Array(
    answer({
      id: text,
      channel: text,
      shown: Type.String({ description: 'Address without secrets.' }),
    }),
  ),
});

export const undoneAnswer = answer({
  tenant_id: text,
  undone: Type.String({ description: 'Id of the change that was undone.' }),
  detail: text,
});

export type TestAlertAnswer = Static<typeof testAlertAnswer>;
export type UndoneAnswer = Static<typeof undoneAnswer>;
