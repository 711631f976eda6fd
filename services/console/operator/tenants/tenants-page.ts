import { counted } from '../../../../shared/domain/text/counted.ts';
import type { TenantRecord } from '../../../../shared/domain/tenant.ts';
import { chooseTenants } from '../../../../shared/tenants/list/choose.ts';
import type { ChosenTenants, TenantListSources } from '../../../../shared/tenants/list/choose.ts';
import { readFullestLimits, sharesMax } from '../../../../shared/tenants/list/limit-shares.ts';
import type { ListedTenant } from '../../../../shared/tenants/list/list.ts';
import { tenantOrders } from '../../../../shared/tenants/list/select.ts';
import { sendCsv } from '../../browser/csv-file.ts';
import { freshnessLine, readFreshness } from '../../components/freshness.ts';
import { html } from '../../components/html.ts';
import type { Html } from '../../components/html.ts';
import { emptyState, failedState } from '../../components/layout.ts';
import type { PageContent } from '../../components/layout.ts';
import { addressOf } from '../../components/links.ts';
import { sortingOf } from '../../components/sorting.ts';
import { table } from '../../components/table.ts';
import { mayUse } from '../signed-in.ts';
import type { OperatorVisit } from '../signed-in.ts';
import { tenantColumns, tenantFileColumns } from './tenant-columns.ts';
import type { TenantRow } from './tenant-columns.ts';
import { filterForm, filterOf } from './tenant-filter.ts';

export type TenantsSources = TenantListSources;

const pageSize = 50;

/** Page of all tenants. Its address contains filter, order and page. */
export async function tenantsPage(
  sources: TenantsSources,
  { request, reply, parts }: OperatorVisit,
): Promise<PageContent | null> {
  const query = request.query as Record<string, string | undefined>;
  const sorted = sortingOf(query, tenantOrders, { by: 'requests', descending: true });
  const policy = sources.policy();
  if (query['format'] === 'csv') {
    const { usageKnown, chosen, limits } = await chooseTenants(sources, filterOf(query), sorted);
    // A file without the usage, or of a filter that is not valid, would be taken for the list.
    if (!usageKnown || !chosen.ok)
      return {
        title: 'Tenants',
        status: chosen.ok ? 503 : chosen.status,
        body: failedState('The file of the tenants'),
      };
    const rows = await withLimits(sources, chosen.value, limits);
    await sendCsv(reply, { name: 'tenants', columns: tenantFileColumns, rows, remaining: null });
    return null;
  }
  const address = addressOf(request);
  const list = await parts.render('tenants', 'The list of tenants', async () => {
    const [{ usageKnown, chosen, limits }, freshness] = await Promise.all([
      chooseTenants(sources, filterOf(query), sorted),
      readFreshness(sources),
    ]);
    const tenants = chosen.ok ? chosen.value : [];
    const rejected = chosen.ok ? null : chosen.detail;
    const from = Math.min(Math.max(0, Math.trunc(Number(query['offset'])) || 0), lastPage(tenants.length));
    const rows = await withLimits(sources, tenants.slice(from, from + pageSize), limits);
    return html`${usageKnown ? null : failedState('Usage')}
      ${table({
        caption: 'Tenants',
        columns: tenantColumns(policy),
        rows,
        sorted,
        address,
        csv: 'complete',
        page: {
          ...{ offset: from, size: pageSize, total: tenants.length },
          more: from + pageSize < tenants.length,
        },
        empty: emptyList(rejected, Object.keys(address.query).length > 0),
      })}
      <p class="soft small">
        ${counted(tenants.length, 'tenant')}. Days and months are those of UTC; quotas follow the calendar of
        each tenant. Growth compares the last seven full days with the seven days before.
        ${sorted.by === 'share' && tenants.length > sharesMax ? `Only the ${sharesMax} busiest were compared.` : null}
        ${freshnessLine(freshness)}
      </p>`;
  });
  const body = html`<div class="page-head">
      <div>
        <h1>Tenants</h1>
        <p class="lead">Tenants with a record or with usage in the last two weeks.</p>
      </div>
      ${mayUse(request, 'admin') ? html`<p><a href="/operator/reset-all">Reset all counters…</a></p>` : null}
    </div>
    <section class="card stack">${filterForm(query, policy, groupsOf(sources))} ${list}</section>
    <form method="get" action="/operator/tenants/open" class="search card">
      <label for="open">Open a tenant by its exact id, also one that was never seen</label>
      <input id="open" class="mono" name="id" required /><button class="second" type="submit">Open</button>
    </form>`;
  return { title: 'Tenants', body };
}

async function withLimits(
  sources: TenantsSources,
  tenants: readonly ListedTenant[],
  read: ChosenTenants['limits'],
): Promise<readonly TenantRow[]> {
  const missing = tenants.filter(({ tenant_id: id }) => !read.has(id));
  const limits = new Map([...read, ...(await readFullestLimits(sources, missing))]);
  return tenants.map((tenant) => ({ tenant, fullest: limits.get(tenant.tenant_id) }));
}

/** Offset of the last page. */
function lastPage(total: number): number {
  return Math.max(0, Math.floor((total - 1) / pageSize) * pageSize);
}

function emptyList(rejected: string | null, filtered: boolean): Html {
  if (rejected !== null)
    return emptyState('No such plan', html`${rejected} <a href="/operator/tenants">Show all tenants</a>.`);
  return filtered
    ? emptyState('No tenant fits', html`Change the search, or <a href="/operator/tenants">show all</a>.`)
    : emptyState(
        'No tenants yet',
        'A tenant appears with its first request, or when a record is written for it.',
      );
}

/** The groups that records name. */
function groupsOf({ directory }: TenantsSources): readonly string[] {
  const groups = new Set([...directory.all()].map(({ group }: TenantRecord) => group));
  return [...groups].filter((group) => group !== undefined).toSorted();
}
