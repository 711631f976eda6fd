import type { TenantUse } from '../../../shared/clickhouse/queries/tenants/heaviest-tenants.ts';
import type { FastifyRequest } from 'fastify';
import { count, counted } from '../../../shared/domain/text/counted.ts';
import type { Money } from '../../../shared/domain/money.ts';
import type { Policy } from '../../../shared/domain/policy.ts';
import type { TenantDirectory } from '../../../shared/kafka/tables/tenant-directory.ts';
import type { StoreReads } from '../../../shared/runtime/store-reads.ts';
import type { Clock } from '../../../shared/runtime/time/clock.ts';
import type { UsageReader } from '../../../shared/tenants/usage-reader.ts';
import { money, percent, share, title } from '../components/format.ts';
import { freshnessLine, readFreshness } from '../components/freshness.ts';
import { html } from '../components/html.ts';
import type { Html } from '../components/html.ts';
import { emptyState, failedState } from '../components/layout.ts';
import type { PageContent } from '../components/layout.ts';
import { addressOf } from '../components/links.ts';
import { sortNames, sortRows, sortingOf } from '../components/sorting.ts';
import type { OperatorVisit } from './signed-in.ts';
import { table } from '../components/table.ts';
import type { Column } from '../components/table.ts';

export interface GrowthSources {
  readonly usage: UsageReader;
  readonly directory: Pick<TenantDirectory, 'get'>;
  readonly reads: StoreReads;
  readonly clock: Clock;
  readonly policy: () => Policy;
}

const spans = { '1': 'Today', '7': '7 days', '30': '30 days' } as const;
const tenantsMax = 100;
/** If at least this share of a tenant's requests is refused, the page says that the tenant has outgrown its plan. */
const outgrownShare = 0.05;

/** Page of the tenants with the most requests: the cost of each, and the cost that its limits saved. */
export async function growthPage(
  sources: GrowthSources,
  { request, parts }: OperatorVisit,
): Promise<PageContent> {
  const { usage, reads, clock, directory } = sources;
  const wanted = (request.query as { days?: string }).days ?? '';
  const days = wanted === '1' || wanted === '30' ? wanted : '7';
  const sinceMs = clock.now() - (Number(days) - 1) * 86_400_000;
  const figures = await parts.render('growth', 'Usage by tenant', async () => {
    const [use, freshness] = await Promise.all([
      reads.orNull(usage.heaviest(sinceMs, tenantsMax + 1)),
      readFreshness(sources),
    ]);
    return html`${
        use === null
          ? html`<div class="card">${failedState('Usage by tenant')}</div>`
          : content(use, directory, sources.policy().currency, request)
      }
      <p>${freshnessLine(freshness)}</p>`;
  });
  const body = html`<div class="page-head">
      <div>
        <h1>Growth and cost</h1>
        <p class="lead">
          The heaviest tenants, which of them outgrow their plans, what calls cost and what limiting saved.
          Days are days of UTC.
        </p>
      </div>
      <nav class="segments" aria-label="Span">
        ${Object.entries(spans).map(
          ([one, label]) =>
            html`<a href="/operator/growth?days=${one}" ${one === days ? html`aria-current="true"` : null}
              >${label}</a
            >`,
        )}
      </nav>
    </div>
    ${figures}`;
  return { title: 'Growth and cost', body };
}

function content(
  found: readonly TenantUse[],
  directory: GrowthSources['directory'],
  currency: string | null,
  request: FastifyRequest,
): Html {
  if (found.length === 0)
    return html`<div class="card">
      ${emptyState('No usage in this time', 'Choose a longer span, or send a first request.')}
    </div>`;
  const use = found.slice(0, tenantsMax);
  const isCut = found.length > use.length;
  const total = (pick: (one: TenantUse) => number): number => use.reduce((sum, one) => sum + pick(one), 0);
  const sum = (pick: (one: TenantUse) => Money): Money => use.reduce((all, one) => all + pick(one), 0n);
  const requests = total((one) => one.requests);
  const columns = columnsWith(directory, currency, requests);
  const sorted = sortingOf(request.query as Record<string, string>, sortNames(columns), {
    by: 'requests',
    descending: true,
  });
  const outgrown = use.filter((one) => one.limited > 0 && share(one.limited, one.requests) >= outgrownShare);
  return html`<section class="card">
      <dl class="tiles">
        <div>
          <dt>Requests</dt>
          <dd>${count(requests)}</dd>
        </div>
        <div>
          <dt>Refused</dt>
          <dd>${count(total((one) => one.limited))}</dd>
        </div>
        <div>
          <dt>Cost of served calls</dt>
          <dd>
            ${money(
              sum((one) => one.cost),
              currency,
            )}
          </dd>
        </div>
        <div>
          <dt>Saved by limiting</dt>
          <dd>
            ${money(
              sum((one) => one.saved),
              currency,
            )}
          </dd>
        </div>
      </dl>
      <p class="soft small">
        Cost is units times the price of the route in the policy. Saved is what the refused calls would have
        cost.
        ${isCut ? `Sums and shares are those of the ${tenantsMax} tenants with the most requests.` : null}
      </p>
    </section>
    ${
      outgrown.length === 0
        ? null
        : html`<section class="card">
            <h2 class="card-head">Outgrowing their plan</h2>
            <ul class="list">
              ${outgrown.map(
                (one) =>
                  html`<li>
                    ${tenantLink(one, directory)}
                    <span class="badge warn">${percent(share(one.limited, one.requests))} refused</span>
                    <span class="soft"
                      >on ${title(one.plan)}: a higher plan, or a limit raised for a time, would serve
                      ${counted(one.limited, 'more request', 'more requests')}.</span
                    >
                  </li>`,
              )}
            </ul>
          </section>`
    }
    <section class="card">
      <h2 class="card-head">Heaviest tenants</h2>
      ${table({
        caption: 'Heaviest tenants',
        rows: sortRows(use, columns, sorted),
        empty: html``,
        columns,
        sorted,
        address: addressOf(request),
      })}
    </section>`;
}

function columnsWith(
  directory: GrowthSources['directory'],
  currency: string | null,
  requests: number,
): readonly Column<TenantUse>[] {
  return [
    {
      ...{ title: 'Tenant', kind: 'head', sort: 'tenant' },
      value: ({ tenant_id: id }) => id,
      cell: (one) => tenantLink(one, directory),
    },
    { title: 'Plan', sort: 'plan', value: ({ plan }) => plan, cell: ({ plan }) => title(plan) },
    {
      ...{ title: 'Requests', kind: 'number', sort: 'requests' },
      value: (one) => one.requests,
      cell: (one) => count(one.requests),
    },
    { title: 'Share', kind: 'number', cell: (one) => percent(share(one.requests, requests)) },
    {
      ...{ title: 'Refused', kind: 'number', sort: 'refused' },
      value: ({ limited }) => limited,
      cell: ({ limited }) => count(limited),
    },
    {
      ...{ title: 'Cost', kind: 'number', sort: 'cost' },
      value: ({ cost }) => cost,
      cell: ({ cost }) => money(cost, currency),
    },
    {
      ...{ title: 'Saved', kind: 'number', sort: 'saved' },
      value: ({ saved }) => saved,
      cell: ({ saved }) => money(saved, currency),
    },
  ];
}

function tenantLink({ tenant_id: id }: TenantUse, directory: GrowthSources['directory']): Html {
  return html`<a href="/operator/tenants/${encodeURIComponent(id)}"
    >${directory.get(id)?.display_name ?? id}</a
  >`;
}
