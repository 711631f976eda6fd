import { count } from '../../../../shared/domain/text/counted.ts';
import { moneyText } from '../../../../shared/domain/money.ts';
import type { Money } from '../../../../shared/domain/money.ts';
import type { Policy } from '../../../../shared/domain/policy.ts';
import { shareOf } from '../../../../shared/tenants/list/limit-shares.ts';
import type { FullestLimit } from '../../../../shared/tenants/list/limit-shares.ts';
import { growthOf } from '../../../../shared/tenants/list/list.ts';
import type { ListedTenant } from '../../../../shared/tenants/list/list.ts';
import { bar } from '../../components/bars.ts';
import { money, percent, title } from '../../components/format.ts';
import { html } from '../../components/html.ts';
import type { Html } from '../../components/html.ts';
import type { Column, FileColumn } from '../../components/table.ts';

export interface TenantRow {
  readonly tenant: ListedTenant;
  readonly fullest: FullestLimit;
}

/** Columns of the list of tenants. The margin is listed if a plan of the policy has a price. */
export function tenantColumns({ currency, plans }: Policy): readonly Column<TenantRow>[] {
  const priced = [...plans.values()].some(({ price }) => price !== null);
  return [
    { title: 'Tenant', kind: 'head', sort: 'name', cell: ({ tenant }) => tenantName(tenant) },
    { title: 'Plan', cell: ({ tenant }) => planAndBadges(tenant) },
    {
      ...{ title: 'Fullest limit now', kind: 'meter', sort: 'share' },
      cell: ({ fullest }) => meter(fullest),
    },
    {
      ...{ title: 'Requests today', kind: 'number', sort: 'requests' },
      cell: ({ tenant }) => known(tenant.requests_today, count),
    },
    {
      ...{ title: 'Refused', kind: 'number', sort: 'refused' },
      cell: ({ tenant }) => known(tenant.limited_today, count),
    },
    { title: 'Growth', kind: 'number', sort: 'growth', cell: ({ tenant }) => growthText(tenant) },
    {
      ...{ title: 'Cost this month', kind: 'number', sort: 'cost' },
      cell: ({ tenant }) => known(tenant.cost_month, (cost) => money(cost, currency)),
    },
    ...(priced ? [marginColumn(currency)] : []),
  ];
}

/** Columns of the list as a file. Money has all its digits and no currency. */
export const tenantFileColumns: readonly FileColumn<TenantRow>[] = [
  { title: 'tenant_id', csv: ({ tenant }) => tenant.tenant_id },
  { title: 'name', csv: ({ tenant }) => tenant.display_name },
  { title: 'plan', csv: ({ tenant }) => tenant.plan },
  { title: 'group', csv: ({ tenant }) => tenant.group },
  { title: 'has_record', csv: ({ tenant }) => String(tenant.has_record) },
  { title: 'blocked', csv: ({ tenant }) => String(tenant.blocked) },
  { title: 'boosts', csv: ({ tenant }) => tenant.boosts },
  { title: 'fullest_limit', csv: ({ fullest }) => fullest?.name ?? null },
  { title: 'used_share', csv: ({ fullest }) => shareOf(fullest) },
  { title: 'requests_today', csv: ({ tenant }) => tenant.requests_today },
  { title: 'limited_today', csv: ({ tenant }) => tenant.limited_today },
  { title: 'requests_week', csv: ({ tenant }) => tenant.requests_week },
  { title: 'requests_week_before', csv: ({ tenant }) => tenant.requests_week_before },
  { title: 'cost_month', csv: ({ tenant }) => amount(tenant.cost_month) },
  { title: 'margin', csv: ({ tenant }) => amount(tenant.margin) },
];

function amount(value: Money | null): string | null {
  return value === null ? null : moneyText(value);
}

function marginColumn(currency: string | null): Column<TenantRow> {
  return {
    ...{ title: 'Margin', kind: 'number', sort: 'margin' },
    cell({ tenant: { margin } }) {
      if (margin === null) return 'no price';
      return margin < 0n
        ? html`<span class="badge bad">${money(margin, currency)}</span>`
        : money(margin, currency);
    },
  };
}

function tenantName({ tenant_id: id, display_name: name }: ListedTenant): Html {
  return html`<a href="/operator/tenants/${encodeURIComponent(id)}">${name ?? id}</a> ${
      name === null ? null : html`<br /><span class="soft small mono">${id}</span>`
    }`;
}

function planAndBadges({ plan, group, blocked, boosts, has_record: hasRecord }: ListedTenant): Html {
  return html`${title(plan)} ${group === null ? null : html`<span class="soft small">${group}</span>`}
  ${blocked ? html`<span class="badge bad">blocked</span>` : null}
  ${boosts > 0 ? html`<span class="badge good">boosted</span>` : null}
  ${hasRecord ? null : html`<span class="badge plain">no record</span>`}`;
}

function growthText(tenant: ListedTenant): string {
  const { requests_week: week } = tenant;
  if (week === null) return 'unknown';
  const growth = growthOf(tenant);
  if (growth === null) return week > 0 ? 'new' : '–';
  return `${growth > 0 ? '+' : ''}${percent(growth)}`;
}

function known<Value>(value: Value | null, format: (value: Value) => string): string {
  return value === null ? 'unknown' : format(value);
}

function meter(limit: FullestLimit): Html {
  if (limit === undefined) return html`<span class="soft">Redis does not answer</span>`;
  if (limit === null) return html`<span class="soft">no shared limit</span>`;
  return html`<span class="small">${title(limit.name)}: ${count(limit.used)} of ${count(limit.limit)}</span>
    ${bar(limit.name, limit.used, limit.limit, { kind: 'thin' })}`;
}
