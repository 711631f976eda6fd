import { hasRole } from '../../../../shared/domain/operators/operator.ts';
import type { Role } from '../../../../shared/domain/operators/operator.ts';
import type { Policy } from '../../../../shared/domain/policy.ts';
import type { TenantRecord } from '../../../../shared/domain/tenant.ts';
import { billingDayMax } from '../../../../shared/domain/time/calendar-name.ts';
import { formatTime } from '../../../../shared/domain/time/format-time.ts';
import { noteTextLengthMax } from '../../../../shared/tenants/record/history-schema.ts';
import { limitNames } from '../../../../shared/tenants/record/policy-violations.ts';
import { field, formError } from '../../components/form.ts';
import type { RefusedForm } from '../../components/form.ts';
import { title } from '../../components/format.ts';
import { html } from '../../components/html.ts';
import type { Html } from '../../components/html.ts';
import { internalNoteField } from './reason-fields.ts';

export interface TenantForms {
  readonly id: string;
  readonly path: string;
  readonly record: TenantRecord | null;
  readonly policy: Policy;
  readonly nowMs: number;
  /** Time zone of the tenant's days and of the times on the page. */
  readonly zone: string;
  /** Names of the limits that apply to the tenant on its plan. */
  readonly limitNamesOfPlan: ReadonlySet<string>;
  /** Role of the signed-in operator. Forms that the role may not send are hidden. */
  readonly role: Role;
  /** The form that was submitted and refused, by its name. */
  readonly refused: { readonly form: string; readonly refusal: RefusedForm } | null;
}

/** The refusal of a form of this name; null if the form was not refused. */
export function refusalOf({ refused }: TenantForms, form: string): RefusedForm | null {
  return refused?.form === form ? refused.refusal : null;
}

/** Attribute that hides a form from operators without the role that its action needs. */
export function forRole(needed: Role, { role }: Pick<TenantForms, 'role'>): Html | null {
  return hasRole(role, needed) ? null : html`hidden`;
}

export function planSection(forms: TenantForms): Html {
  const { path, record, policy } = forms;
  const refused = refusalOf(forms, 'plan');
  const overrides = Object.entries(record?.overrides ?? {})
    .map(([name, value]) => `${name} = ${value}`)
    .join('\n');
  return html`<section class="card">
    <h2 class="card-head">Plan and own limits</h2>
    <form method="post" action="${path}/plan" ${forRole('admin', forms)}>
      ${formError(refused)}
      ${field(
        {
          kind: 'select',
          name: 'plan',
          label: 'Plan',
          value: record?.plan ?? '',
          options: [
            ['', 'As its token says'],
            ...[...policy.plans.keys()].map((name) => [name, title(name)] as const),
          ],
        },
        refused,
      )}
      ${field({ name: 'display_name', label: 'Name', lengthMax: 200, value: record?.display_name ?? '' }, refused)}
      ${field(
        {
          kind: 'area',
          name: 'overrides',
          label: 'Own limits',
          mono: true,
          value: overrides,
          placeholder: 'minute = 500',
          hint: `One a line, for good. Names: ${limitNames(policy).join(', ')}.`,
        },
        refused,
      )}
      ${internalNoteField('plan', refused)}
      <button type="submit">Save</button>
    </form>
  </section>`;
}

/** Billing day, time zone and group. */
export function settingsSection(forms: TenantForms): Html {
  const { path, record } = forms;
  const refused = refusalOf(forms, 'settings');
  const form = 'settings';
  return html`<section class="card">
    <h2 class="card-head">Calendar and group</h2>
    <form method="post" action="${path}/settings" ${forRole('admin', forms)}>
      ${formError(refused)}
      ${field(
        {
          ...{ form, name: 'time_zone', label: 'Time zone', lengthMax: 64, value: record?.time_zone ?? '' },
          ...{
            placeholder: 'UTC',
            hint: 'Days and months of quotas begin at midnight there. An IANA name, such as Europe/Berlin.',
          },
        },
        refused,
      )}
      ${field(
        {
          ...{ kind: 'number', form, name: 'billing_day', label: 'Billing day' },
          ...{ value: String(record?.billing_day ?? ''), placeholder: '1' },
          hint: `Day on which monthly quotas begin, 1 to ${billingDayMax}; in a shorter month, its last day.`,
        },
        refused,
      )}
      ${field(
        {
          ...{ form, name: 'group', label: 'Group', lengthMax: 64, value: record?.group ?? '' },
          hint: 'Tenants of one group share the limits of the policy that count the group.',
        },
        refused,
      )}
      ${internalNoteField(form, refused)}
      <button type="submit">Save</button>
    </form>
  </section>`;
}

/** A text about the tenant for operators. */
export function noteSection(forms: TenantForms): Html {
  const { path, record, zone } = forms;
  const refused = refusalOf(forms, 'note');
  const note = record?.internal_note;
  return html`<section class="card stack">
    <h2>Internal note</h2>
    ${
      note === undefined
        ? html`<p class="soft">None. Operators read it here; the tenant never does.</p>`
        : html`<p class="note-text">${note.text}</p>
            <p class="soft small">${note.actor}, ${formatTime(note.at, zone)}</p>`
    }
    <details class="fold" ${refused === null ? null : html`open`} ${forRole('support', forms)}>
      <summary>${note === undefined ? 'Write a note' : 'Change it'}</summary>
      <form method="post" action="${path}/note" ${forRole('support', forms)}>
        ${formError(refused)}
        <input type="hidden" name="read_at" value="${note?.at ?? ''}" />
        ${field(
          {
            ...{ kind: 'area', form: 'note', name: 'text', label: 'Note (operators only)' },
            ...{ lengthMax: noteTextLengthMax, value: note?.text ?? '', hint: 'Empty: no note.' },
          },
          refused,
        )}
        <button class="second" type="submit">Save the note</button>
      </form>
    </details>
  </section>`;
}

export function resetSection(forms: TenantForms): Html {
  const { path, id, record, zone } = forms;
  const refused = refusalOf(forms, 'reset');
  const form = 'reset';
  return html`<section class="card">
    <h2 class="card-head">Reset counters</h2>
    ${record?.reset === undefined ? null : html`<p class="soft small">Last reset by ${record.reset.actor}, ${formatTime(record.reset.at_ms, zone)}</p>`}
    <form method="post" action="${path}/reset" ${forRole('support', forms)}>
      ${formError(refused)}
      ${field(
        {
          ...{ form, name: 'confirm', label: 'Type the tenant’s id to confirm', mono: true, required: true },
          ...{
            autocomplete: 'off',
            placeholder: id,
            hint: 'Every window becomes empty. History and cost stay. This cannot be undone: of the content of the windows, no copy exists.',
          },
        },
        refused,
      )}
      ${field({ form, name: 'reason', label: 'Reason (operators only)', required: true, lengthMax: 500 }, refused)}
      <button class="danger" type="submit">Reset</button>
    </form>
  </section>`;
}

export function portalSection(forms: TenantForms): Html {
  const { path } = forms;
  return html`<section class="card stack">
    <h2>Portal link</h2>
    <p class="soft">
      Opens the tenant’s own portal without a key. Every holder of the link can sign in until it expires or is
      ended.
    </p>
    <form method="post" action="${path}/portal-link" ${forRole('support', forms)}>
      <button class="second" type="submit">Make a link for 24 hours</button>
    </form>
    <form method="post" action="${path}/sessions/end" ${forRole('support', forms)}>
      <button class="quiet" type="submit">End all its links and sessions</button>
    </form>
  </section>`;
}
