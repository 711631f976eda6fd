import { boostPhase } from '../../../../shared/domain/boost.ts';
import { hasRole } from '../../../../shared/domain/operators/operator.ts';
import type { Role } from '../../../../shared/domain/operators/operator.ts';
import type { Policy } from '../../../../shared/domain/policy.ts';
import { apiKeyId, apiKeysOf } from '../../../../shared/domain/tenant.ts';
import type { Boost, TenantRecord } from '../../../../shared/domain/tenant.ts';
import { limitNames } from '../../../../shared/tenants/record/policy-violations.ts';
import { formatTime } from '../../../../shared/domain/time/format-time.ts';
import { durationForReading } from '../../../../shared/domain/time/format-duration.ts';
import { boostBadge } from '../../components/boost-badge.ts';
import { field, formError } from '../../components/form.ts';
import type { RefusedForm } from '../../components/form.ts';
import { title } from '../../components/format.ts';
import { html } from '../../components/html.ts';
import type { Html } from '../../components/html.ts';
import { isExpired } from '../../../../shared/tenants/api-keys.ts';
import { boostSize } from '../../../../shared/tenants/boosts.ts';
import { blockNow } from '../../../../shared/tenants/block.ts';

export interface TenantForms {
  readonly id: string;
  readonly path: string;
  readonly record: TenantRecord | null;
  readonly policy: Policy;
  readonly nowMs: number;
  /** Names of the limits that apply to the tenant on its plan. */
  readonly limitNamesOfPlan: ReadonlySet<string>;
  /** Role of the signed-in operator. Forms that the role may not send are hidden. */
  readonly role: Role;
  /** The form that was submitted and refused, by its name. */
  readonly refused: { readonly form: string; readonly refusal: RefusedForm } | null;
}

/** The refusal of a form of this name; null if the form was not refused. */
function refusalOf({ refused }: TenantForms, form: string): RefusedForm | null {
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
      <button type="submit">Save</button>
    </form>
  </section>`;
}

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
          ${field({ kind: 'select', form, name: 'for', label: 'For', value: '7d', options: boostSpans }, refused)}
        </div>
        ${field({ form, name: 'reason', label: 'Why', required: true, lengthMax: 500, placeholder: 'Launch week' }, refused)}
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
  const { path, nowMs, limitNamesOfPlan } = forms;
  const phase = boostPhase(boost, nowMs);
  return html`<li>
    <strong>${title(boost.limit)}</strong> ${boostSize(boost)} ${boostBadge(boost, nowMs, limitNamesOfPlan)}
    ${phase === 'running' ? html`<span class="soft">ends in ${durationForReading(Date.parse(boost.ends_at) - nowMs)}</span>` : null}<br />
    <span class="soft small"
      >${formatTime(boost.starts_at)} to ${formatTime(boost.ends_at)} · ${boost.actor}: ${boost.reason}</span
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

export function blockSection(forms: TenantForms): Html {
  const { path, record, nowMs } = forms;
  const refused = refusalOf(forms, 'block');
  const form = 'block';
  const held = blockNow(record, nowMs);
  if (held !== null)
    return html`<section class="card stack">
      <h2>Blocked</h2>
      <p>
        ${held.until === null ? 'Until lifted' : `Until ${formatTime(held.until)}`}: ${held.reason}
        <span class="soft small">(${held.actor})</span>
      </p>
      <form method="post" action="${path}/unblock" ${forRole('support', forms)}>
        <button type="submit">Lift the block</button>
      </form>
    </section>`;
  return html`<section class="card">
    <h2 class="card-head">Block</h2>
    <form method="post" action="${path}/block" ${forRole('support', forms)}>
      ${formError(refused)}
      ${field({ kind: 'select', form, name: 'for', label: 'How long', options: blockSpans }, refused)}
      ${field({ form, name: 'reason', label: 'Why', required: true, lengthMax: 500 }, refused)}
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

export function resetSection(forms: TenantForms): Html {
  const { path, id, record } = forms;
  const refused = refusalOf(forms, 'reset');
  const form = 'reset';
  return html`<section class="card">
    <h2 class="card-head">Reset counters</h2>
    ${record?.reset === undefined ? null : html`<p class="soft small">Last reset by ${record.reset.actor}, ${formatTime(record.reset.at_ms)}</p>`}
    <form method="post" action="${path}/reset" ${forRole('support', forms)}>
      ${formError(refused)}
      ${field(
        {
          ...{ form, name: 'confirm', label: 'Type the tenant’s id to confirm', mono: true, required: true },
          ...{
            autocomplete: 'off',
            placeholder: id,
            hint: 'Every window becomes empty. History and cost stay.',
          },
        },
        refused,
      )}
      ${field({ form, name: 'reason', label: 'Why', required: true, lengthMax: 500 }, refused)}
      <button class="danger" type="submit">Reset</button>
    </form>
  </section>`;
}

const keySpans = [
  ['', 'Ever'],
  ['1d', '1 day'],
  ['7d', '1 week'],
  ['90d', '90 days'],
  ['365d', '1 year'],
] as const;

export function keySection(forms: TenantForms): Html {
  const { path, record, nowMs } = forms;
  const refused = refusalOf(forms, 'api-keys');
  const keys = record === null ? [] : apiKeysOf(record);
  return html`<section class="card stack">
    <h2>API keys</h2>
    ${
      keys.length === 0
        ? html`<p class="soft">None.</p>`
        : html`<ul class="list">
            ${keys.map(
              (key) =>
                html`<li>
                  <code>${apiKeyId(key.sha256)}…</code> ${key.name ?? null}
                  ${key.expires_at === undefined ? null : keyEnd(key.expires_at, isExpired(key, nowMs))}
                  <form
                    class="plain"
                    method="post"
                    action="${path}/api-keys/${key.sha256}/delete"
                    ${forRole('admin', forms)}
                  >
                    <button class="quiet" type="submit">Delete</button>
                  </form>
                </li>`,
            )}
          </ul>`
    }
    <form method="post" action="${path}/api-keys" ${forRole('admin', forms)}>
      ${formError(refused)}
      <div class="row">
        ${field({ form: 'key', name: 'name', label: 'What for', lengthMax: 200, placeholder: 'CI' }, refused)}
        ${field({ kind: 'select', form: 'key', name: 'for', label: 'Good for', options: keySpans }, refused)}
      </div>
      <button class="second" type="submit">Create a key</button>
    </form>
  </section>`;
}

function keyEnd(end: string, expired: boolean): Html {
  return expired
    ? html`<span class="badge plain">expired</span>`
    : html`<span class="soft small">until ${formatTime(end)}</span>`;
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
