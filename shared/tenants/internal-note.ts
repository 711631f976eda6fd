import type { TenantRecord } from '../domain/tenant.ts';
import { rejection, success } from './outcome.ts';
import type { Outcome } from './outcome.ts';
import { internalNoteLengthMax } from './record/basic-schemas.ts';
import { noteTextLengthMax } from './record/history-schema.ts';
import type { Edit } from './records.ts';

/** Adds the note of an operator to the history entry of an edit. An empty note adds nothing. */
export function withInternalNote(outcome: Outcome<Edit>, note = ''): Outcome<Edit> {
  if (!outcome.ok || note === '') return outcome;
  return note.length > internalNoteLengthMax
    ? rejection(
        422,
        'Not saved',
        `An internal note has at most ${internalNoteLengthMax} characters.`,
        'internal_note',
      )
    : success({ ...outcome.value, internalNote: note });
}

export interface NewNote {
  /** Empty: the note is removed. */
  readonly text: string;
  readonly actor: string;
  /** `at` of the note that the author had read; empty: there was no note; absent: the note is replaced in any case. */
  readonly readAt?: string | undefined;
}

/** Replaces the note about the tenant, which all operators read and the tenant does not. */
export function setNote(
  record: TenantRecord,
  { text, actor, readAt }: NewNote,
  nowMs: number,
): Outcome<Edit> {
  const { internal_note: before, ...without } = record;
  if (text.length > noteTextLengthMax)
    return rejection(422, 'Not saved', `A note has at most ${noteTextLengthMax} characters.`, 'text');
  if (text === (before?.text ?? '')) return rejection(409, 'Not saved', 'The note has this text already.');
  if (readAt !== undefined && readAt !== (before?.at ?? ''))
    return rejection(
      409,
      'Not saved',
      before === undefined
        ? 'Another operator removed the note meanwhile. To write yours, save it again.'
        : `${before.actor} changed the note meanwhile. Merge both texts, then save again.`,
      'text',
    );
  const note = { text, actor, at: new Date(nowMs).toISOString() };
  return success({
    record: text === '' ? without : { ...record, internal_note: note },
    action: 'internal-note',
    detail: text === '' ? 'Note for operators removed' : 'Note for operators written',
  });
}
