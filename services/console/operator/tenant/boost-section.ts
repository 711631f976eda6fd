import { boostPhase } from '../../../../shared/domain/boost.ts';
import type { Boost } from '../../../../shared/domain/tenant.ts';
import { durationForReading } from '../../../../shared/domain/time/format-duration.ts';
import { formatTime } from '../../../../shared/domain/time/format-time.ts';
import { boostSize } from '../../../../shared/tenants/boosts.ts';
import { limitNames } from '../../../../shared/tenants/record/policy-violations.ts';
import { boostBadge } from '../../components/boost-badge.ts';
import { field, formError } from '../../components/form.ts';
import { title } from '../../components/format.ts';
import { html } from '../../components/html.ts';
import type { Html } from '../../components/html.ts';
import { reasonFields } from './reason-fields.ts';
import { forRole, refusalOf } from './tenant-forms.ts';
import type { TenantForms } from './tenant-forms.ts';

/** Boosts of the tenant, and the form that adds one. */
export function boostSection(forms: TenantForms): Html {
  const { path, record, policy } = forms;
  const boosts = (record?.boosts ?? []).toReversed();
  const refused = refusalOf(forms, 'boosts');
  const form = 'boost';
  return html`<section class="card" id="boosts">
    <h2 class="card-head">Raised limits</h2>
    ${
      boosts.length === 0
        ? html`<p class="soft">None. A raised limit ends by itself.</p>`
        : html`<ul class="list">
            ${boosts.map((boost) => boostItem(boost, forms))}
          </ul>`
    }
    <details class="fold" ${refused === null ? null : html`open`} ${forRole('support', forms)}>
      <summary>Raise a limit for a time</summary>
      <form method="post" action="${path}/boosts" ${forRole('support', forms)}>
        ${formError(refused)}
        <div class="row">
          ${field(
            {
              kind: 'select',
              ...{ form, name: 'limit', label: 'Limit' },
              options: limitNames(policy).map((name) => [name, title(name)] as const),
            },
            refused,
          )}
          ${field({ kind: 'select', form, name: 'how', label: 'How', options: boostKinds }, refused)}
          ${field({ kind: 'number', form, name: 'value', label: 'Value', value: '2', required: true }, refused)}
          ${field({ kind: 'datetime-local', form, name: 'starts', label: 'Starts (UTC; empty: now)' }, refused)}
          ${field({ kind: 'select', form, name: 'for', label: 'For', value: '7d', options: boostSpans }, refused)}
        </div>
        ${reasonFields(form, refused, 'Launch week')}
        <button type="submit">Raise</button>
      </form>
    </details>
  </section>`;
}

const boostKinds = [
  ['multiply', 'Multiply by'],
  ['set_to', 'Set to'],
] as const;
const boostSpans = [
  ['1h', '1 hour'],
  ['1d', '1 day'],
  ['7d', '1 week'],
  ['30d', '30 days'],
] as const;

function boostItem(boost: Boost, forms: TenantForms): Html {
  const { path, nowMs, zone, limitNamesOfPlan } = forms;
  const phase = boostPhase(boost, nowMs);
  return html`<li>
    <strong>${title(boost.limit)}</strong> ${boostSize(boost)} ${boostBadge(boost, nowMs, limitNamesOfPlan)}
    ${phase === 'running' ? html`<span class="soft">ends in ${durationForReading(Date.parse(boost.ends_at) - nowMs)}</span>` : null}<br />
    <span class="soft small"
      >${formatTime(boost.starts_at, zone)} to ${formatTime(boost.ends_at, zone)} · ${boost.actor}:
      ${boost.reason}</span
    >
    ${
      phase === 'ended'
        ? null
        : html`<form
            class="plain"
            method="post"
            action="${path}/boosts/${boost.id}/end"
            ${forRole('support', forms)}
          >
            <button class="quiet" type="submit">End now</button>
          </form>`
    }
  </li>`;
}
