import { isDeepStrictEqual } from 'node:util';
import type { RecordChange, TenantRecord } from '../../../../shared/domain/tenant.ts';
import { formatTime } from '../../../../shared/domain/time/format-time.ts';
import { blockNow } from '../../../../shared/tenants/block.ts';
import { field, formError } from '../../components/form.ts';
import { html } from '../../components/html.ts';
import type { Html } from '../../components/html.ts';
import { reasonFields } from './reason-fields.ts';
import { forRole, refusalOf } from './tenant-forms.ts';
import type { TenantForms } from './tenant-forms.ts';

/** The block of the tenant with its end, or the form that blocks it. */
export function blockSection(forms: TenantForms): Html {
  const { path, record, nowMs, zone } = forms;
  const refused = refusalOf(forms, 'block');
  const form = 'block';
  const held = blockNow(record, nowMs);
  if (held !== null)
    return html`<section class="card stack">
      <h2>Blocked</h2>
      <p>
        ${held.until === null ? 'Until lifted' : `Until ${formatTime(held.until, zone)}`}: ${held.reason}
        <span class="soft small">(${held.actor})</span>
      </p>
      ${record === null ? null : noteOfBlock(record, held)}
      <form method="post" action="${path}/unblock" ${forRole('support', forms)}>
        <button type="submit">Lift the block</button>
      </form>
    </section>`;
  return html`<section class="card">
    <h2 class="card-head">Block</h2>
    <form method="post" action="${path}/block" ${forRole('support', forms)}>
      ${formError(refused)}
      ${field({ kind: 'select', form, name: 'for', label: 'How long', options: blockSpans }, refused)}
      ${reasonFields(form, refused, 'Unpaid invoice')}
      <button class="danger" type="submit">Block every request</button>
    </form>
  </section>`;
}

const blockSpans = [
  ['1h', '1 hour'],
  ['1d', '1 day'],
  ['7d', '1 week'],
  ['', 'Until lifted'],
] as const;

/** What the operator who set the block in force noted for other operators. */
function noteOfBlock({ history = [] }: TenantRecord, held: NonNullable<TenantRecord['block']>): Html | null {
  const blocked = history.find((entry) => entry.action === 'block' && isChangeTo(entry, held));
  return blocked?.internal_note === undefined
    ? null
    : html`<p class="soft small">Internal note: ${blocked.internal_note}</p>`;
}

/** True if the entry set this block. Old entries do not have values any more: of them, actor and reason are compared. */
function isChangeTo(
  { actor, detail, changes }: RecordChange,
  held: NonNullable<TenantRecord['block']>,
): boolean {
  return changes === undefined
    ? actor === held.actor && detail.endsWith(held.reason)
    : changes.some(({ field: name, to }) => name === 'block' && isDeepStrictEqual(to, held));
}
