import type { Limit } from '../../../../shared/domain/limit.ts';
import type { Policy } from '../../../../shared/domain/policy.ts';
import type { TenantRecord } from '../../../../shared/domain/tenant.ts';
import { quotasFor } from '../../../../shared/policy/quota-readings.ts';
import { limitsOfTenant } from '../../../../shared/tenants/limits.ts';
import { title } from '../../components/format.ts';
import { html } from '../../components/html.ts';
import type { Html } from '../../components/html.ts';
import { emptyState } from '../../components/layout.ts';
import { subjectText } from '../../components/limit-table.ts';
import { table } from '../../components/table.ts';
import type { Column } from '../../components/table.ts';
import { refusalsField, sharesField } from '../notification-form.ts';

/** How a tenant can be notified of a limit: by shares of a quota, by refused requests, or not at all. */
export type AlertableBy = 'shares' | 'refusals' | 'nothing';

export interface AlertableLimit {
  readonly limit: Limit;
  readonly by: AlertableBy;
}

/** The limits of the tenant, each name once. Several limits of one name have one setting. */
export function alertableLimits(
  policy: Policy,
  record: TenantRecord | null,
  seenPlan: string | null,
  nowMs: number,
): AlertableLimit[] {
  const { plan, shared, individual, concurrent } = limitsOfTenant(policy, record, seenPlan, nowMs);
  const quotas = new Set(quotasFor(policy, { plan, record, nowMs }).map(({ name }) => name));
  const byName = new Map([...concurrent, ...individual, ...shared].map(({ limit }) => [limit.name, limit]));
  return [...byName.values()].map((limit) => ({
    limit,
    by: quotas.has(limit.name) ? 'shares' : limit.mode === 'enforce' ? 'refusals' : 'nothing',
  }));
}

/** The form with the settings of single limits. `entered` has the fields of a form that was refused. */
export function limitsSection(
  limits: readonly AlertableLimit[],
  record: TenantRecord | null,
  mayManage: boolean,
  entered: URLSearchParams | null,
): Html {
  const settings = record?.notifications?.limits ?? {};
  const columns: readonly Column<AlertableLimit>[] = [
    {
      title: 'Limit',
      kind: 'head',
      cell: ({ limit }) => html`${title(limit.name)} <span class="soft small">${countedText(limit)}</span>`,
    },
    { title: 'Notify me', cell: (one) => settingCell(one, settings[one.limit.name], entered) },
  ];
  const list = table({
    caption: 'Single limits',
    columns,
    rows: limits,
    empty: emptyState('No limits', 'Your plan has no limit of which you can be notified.'),
  });
  return html`<section class="card">
    <h2 class="card-head">Single limits</h2>
    <p class="soft">
      A field replaces the setting above for this limit. A calendar quota fills up, so it has a used share.
      Other limits are free again within moments: of them you are notified when they refuse requests. Limits
      of the whole platform are not yours: there are no notifications about them.
    </p>
    <form method="post" action="/notifications/limits">
      ${list}
      ${mayManage ? html`<div class="actions"><button type="submit">Save the limits</button></div>` : null}
    </form>
  </section>`;
}

function settingCell(
  { limit: { name }, by }: AlertableLimit,
  set: { readonly thresholds?: readonly number[]; readonly refusals?: number } | undefined,
  entered: URLSearchParams | null,
): Html {
  if (by === 'nothing')
    return html`<span class="soft"
      >In shadow mode it refuses nothing, so there is nothing to notify of.</span
    >`;
  if (by === 'shares') {
    const shares = set?.thresholds?.map((share) => String(Math.round(share * 10_000) / 100)).join(', ');
    const value = entered?.get(sharesField(name)) ?? (shares === '' ? 'none' : (shares ?? ''));
    return html`<label class="inline"
      >at
      <input
        name="${sharesField(name)}"
        value="${value}"
        placeholder="as above"
        size="12"
        aria-label="Shares of ${name} in percent"
      />
      percent of it</label
    >`;
  }
  const value = entered?.get(refusalsField(name)) ?? String(set?.refusals ?? '');
  return html`<label class="inline"
    >from
    <input
      name="${refusalsField(name)}"
      value="${value}"
      placeholder="20, and a fifth of all"
      inputmode="numeric"
      size="18"
      aria-label="Refusals of ${name} in a minute"
    />
    refusals in a minute</label
  >`;
}

/** What the limit counts, for example `sliding, for each user`. */
function countedText({ type, per, route, perNode }: Limit): string {
  if (perNode === true)
    return per.includes('ip') ? 'at once, share of each address' : 'at once, your share of the platform';
  const subject = per.some((one) => one !== 'tenant') ? subjectText(per) : '';
  const kind = { sliding: 'sliding', quota: 'calendar quota', concurrent: 'at once' }[type];
  return `${kind}${subject === '' ? '' : `, for ${subject}`}${route === null ? '' : `, ${route}`}`;
}
