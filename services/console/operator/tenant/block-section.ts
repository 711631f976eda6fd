import type { TenantRecord } from '../../../../shared/domain/tenant.ts';
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
      ${noteOfBlock(record)}
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

/** What the operator who blocked the tenant noted for other operators. */
function noteOfBlock(record: TenantRecord | null): Html | null {
  const blocked = (record?.history ?? []).find(({ action }) => action === 'block');
  return blocked?.internal_note === undefined
    ? null
    : html`<p class="soft small">Internal note: ${blocked.internal_note}</p>`;
}
