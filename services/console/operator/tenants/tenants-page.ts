import type { FastifyRequest } from 'fastify';
import type { TenantDirectory } from '../../../../shared/kafka/tables/tenant-directory.ts';
import type { Policy } from '../../../../shared/domain/policy.ts';
import type { Limiter } from '../../../../shared/redis/decision/limiter.ts';
import type { StoreReads } from '../../../../shared/runtime/store-reads.ts';
import type { Clock } from '../../../../shared/runtime/time/clock.ts';
import { limitsOfTenant } from '../../../../shared/tenants/limits.ts';
import { listTenants, readUseToday } from '../../../../shared/tenants/list.ts';
import type { ListedTenant } from '../../../../shared/tenants/list.ts';
import { readLiveUsage } from '../../../../shared/tenants/live-usage.ts';
import type { LimitStatus } from '../../../../shared/tenants/live-usage.ts';
import type { UsageReader } from '../../../../shared/tenants/usage-reader.ts';
import { bar } from '../../components/bars.ts';
import { count, money, title } from '../../components/format.ts';
import { html } from '../../components/html.ts';
import type { Html } from '../../components/html.ts';
import { emptyState, failedState } from '../../components/layout.ts';
import type { PageContent } from '../../components/layout.ts';
import { addressOf } from '../../components/links.ts';
import type { Address } from '../../components/links.ts';
import { table } from '../../components/table.ts';
import type { Column, Page } from '../../components/table.ts';

export interface TenantsSources {
  readonly directory: Pick<TenantDirectory, 'all' | 'get'>;
  readonly limiter: Pick<Limiter, 'check'>;
  readonly usage: UsageReader;
  readonly policy: () => Policy;
  readonly reads: StoreReads;
  readonly clock: Clock;
}

const pageSize = 50;

interface Row {
  readonly tenant: ListedTenant;
  /**
   * Of the limits that count all usage of the tenant, the one with the highest used share. Null if the tenant has no
   * such limit; undefined if Redis did not answer.
   */
  readonly fullest: LimitStatus | null | undefined;
}

export async function tenantsPage(sources: TenantsSources, request: FastifyRequest): Promise<PageContent> {
  const { search = '', plan = '', offset = '0' } = request.query as Record<string, string | undefined>;
  const policy = sources.policy();
  const use = await readUseToday(sources);
  const all = listTenants([...sources.directory.all()], use, policy, { search, plan }, sources.clock.now());
  const from = Math.min(Math.max(0, Math.trunc(Number(offset)) || 0), Math.max(0, all.length - 1));
  const rows = await Promise.all(
    all
      .slice(from, from + pageSize)
      .map(async (tenant) => ({ tenant, fullest: await fullestOf(sources, tenant) })),
  );
  const body = html`<div class="page-head">
      <div>
        <h1>Tenants</h1>
        <p class="lead">${count(all.length)} with a record or with usage today, busiest first.</p>
      </div>
    </div>
    <section class="card stack">
      <form class="search" method="get" action="/operator/tenants" role="search">
        <label class="hidden" for="search">Search by id or name</label>
        <input id="search" name="search" type="search" value="${search}" placeholder="Id or name" />
        <label class="hidden" for="plan">Plan</label>
        <select id="plan" name="plan">
          <option value="">All plans</option>
          ${[...policy.plans.keys()].map(
            (name) =>
              html`<option value="${name}" ${name === plan ? html`selected` : null}>${title(name)}</option>`,
          )}
        </select>
        <button class="second" type="submit">Search</button>
      </form>
      ${use === null ? failedState("Today's usage") : null}
      ${tenantTable(rows, {
        filtered: search !== '' || plan !== '',
        currency: policy.currency,
        address: addressOf(request),
        page: { offset: from, size: pageSize, total: all.length, more: from + pageSize < all.length },
      })}
    </section>
    <form method="get" action="/operator/tenants/open" class="search card">
      <label for="open">Open a tenant by its exact id, also one that was never seen</label>
      <input id="open" class="mono" name="id" required /><button class="second" type="submit">Open</button>
    </form>`;
  return { title: 'Tenants', body };
}

async function fullestOf(
  sources: TenantsSources,
  tenant: ListedTenant,
): Promise<LimitStatus | null | undefined> {
  const record = sources.directory.get(tenant.tenant_id) ?? null;
  const nowMs = sources.clock.now();
  if (limitsOfTenant(sources.policy(), record, tenant.plan, nowMs).shared.length === 0) return null;
  const live = await readLiveUsage(
    sources.limiter,
    sources.policy(),
    record,
    tenant.tenant_id,
    tenant.plan,
    nowMs,
  );
  if (live === null) return undefined;
  const share = (limit: LimitStatus): number => (limit.limit === 0 ? 1 : limit.used / limit.limit);
  return live.live.limits.toSorted((a, b) => share(b) - share(a))[0] ?? null;
}

function tenantTable(
  rows: readonly Row[],
  {
    filtered,
    currency,
    address,
    page,
  }: {
    readonly filtered: boolean;
    readonly currency: string | null;
    readonly address: Address;
    readonly page: Page;
  },
): Html {
  const columns: readonly Column<Row>[] = [
    { title: 'Tenant', kind: 'head', cell: ({ tenant }) => tenantName(tenant) },
    {
      title: 'Plan',
      cell: ({ tenant }) =>
        html`${title(tenant.plan)} ${tenant.blocked ? html`<span class="badge bad">blocked</span>` : null}
        ${tenant.boosts > 0 ? html`<span class="badge good">boosted</span>` : null}
        ${tenant.has_record ? null : html`<span class="badge plain">no record</span>`}`,
    },
    { title: 'Requests today', kind: 'number', cell: ({ tenant }) => known(tenant.requests_today, count) },
    { title: 'Refused', kind: 'number', cell: ({ tenant }) => known(tenant.limited_today, count) },
    {
      title: 'Cost today',
      kind: 'number',
      cell: ({ tenant }) => known(tenant.cost_today, (cost) => money(cost, currency)),
    },
    { title: 'Fullest limit now', kind: 'meter', cell: ({ fullest }) => meter(fullest) },
  ];
  const empty = filtered
    ? emptyState('No tenant fits', html`Change the search, or <a href="/operator/tenants">show all</a>.`)
    : emptyState(
        'No tenants yet',
        'A tenant appears with its first request, or when a record is written for it.',
      );
  return table({ caption: 'Tenants', columns, rows, empty, address, page });
}

function tenantName({ tenant_id: id, display_name: name }: ListedTenant): Html {
  return html`<a href="/operator/tenants/${encodeURIComponent(id)}">${name ?? id}</a> ${
      name === null ? null : html`<br /><span class="soft small mono">${id}</span>`
    }`;
}

function known<Value>(value: Value | null, format: (value: Value) => string): string {
  return value === null ? 'unknown' : format(value);
}

function meter(limit: LimitStatus | null | undefined): Html {
  if (limit === undefined) return html`<span class="soft">Redis does not answer</span>`;
  if (limit === null) return html`<span class="soft">no shared limit</span>`;
  return html`<span class="small">${title(limit.name)}: ${count(limit.used)} of ${count(limit.limit)}</span>
    ${bar(limit.name, limit.used, limit.limit, { kind: 'thin' })}`;
}
