import { internalNoteLengthMax } from '../../../../shared/tenants/record/basic-schemas.ts';
import { field } from '../../components/form.ts';
import type { RefusedForm } from '../../components/form.ts';
import { html } from '../../components/html.ts';
import type { Html } from '../../components/html.ts';

/** The reason of an action on a tenant, which the tenant reads, and apart from it the note for operators. */
export function reasonFields(form: string, refused: RefusedForm | null, placeholder = ''): Html {
  return html`${field(
    {
      ...{ form, name: 'reason', label: 'Reason (the tenant reads this)', required: true },
      ...{ lengthMax: 500, placeholder },
    },
    refused,
  )}
  ${internalNoteField(form, refused)}`;
}

export function internalNoteField(form: string, refused: RefusedForm | null): Html {
  return field(
    {
      ...{ form, name: 'internal_note', label: 'Internal note (operators only)' },
      lengthMax: internalNoteLengthMax,
    },
    refused,
  );
}

/** The note that the form has; empty: none. */
export function internalNoteFrom(form: URLSearchParams): string {
  return (form.get('internal_note') ?? '').trim();
}
