import type { FastifyRequest } from 'fastify';
import type { TenantSpend } from '../../../shared/clickhouse/queries/spend/spend.ts';
import type { Money } from '../../../shared/domain/money.ts';
import type { Policy } from '../../../shared/domain/policy.ts';
import { periodAt } from '../../../shared/domain/time/calendar.ts';
import type { PeriodSpan } from '../../../shared/domain/time/calendar.ts';
import type { TenantDirectory } from '../../../shared/kafka/tables/tenant-directory.ts';
import type { StoreReads } from '../../../shared/runtime/store-reads.ts';
import type { Clock } from '../../../shared/runtime/time/clock.ts';
import { projectedCost } from '../../../shared/tenants/list/margin.ts';
import type { UsageReader } from '../../../shared/tenants/usage-reader.ts';
import { money, title } from '../components/format.ts';
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

export interface SpendSources {
  readonly usage: UsageReader;
  readonly directory: Pick<TenantDirectory, 'get'>;
  readonly reads: StoreReads;
  readonly clock: Clock;
  readonly policy: () => Policy;
}

const tenantsMax = 200;
/** The cost of a tenant in this month, and its margin: the price of its plan minus the projected cost. */
interface MarginRow extends TenantSpend {
  readonly price: Money | null;
  readonly projected: Money;
  readonly margin: Money | null;
}

/** Page of what each tenant costs in this month (UTC) against the price of its plan; the lowest margin is first. */
export async function spendPage(
  sources: SpendSources,
  { request, parts }: OperatorVisit,
): Promise<PageContent> {
  const { usage, reads, clock, policy, directory } = sources;
  const nowMs = clock.now();
  const month = periodAt('month', null, nowMs);
  const figures = await parts.render('spend', 'Spend by tenant', async () => {
    const [spent, freshness] = await Promise.all([
      reads.orNull(usage.tenantSpend(month.startMs, tenantsMax + 1)),
      readFreshness(sources),
    ]);
    return html`<section class="card">
        ${
          spent === null
            ? failedState('Spend by tenant')
            : content(
                spent.slice(0, tenantsMax).map((one) => marginOf(one, directory, policy(), month, nowMs)),
                { currency: policy().currency, isCut: spent.length > tenantsMax },
                request,
              )
        }
      </section>
      <p>${freshnessLine(freshness)}</p>`;
  });
  const body = html`<div class="page-head">
      <div>
        <h1>Spend and margin</h1>
        <p class="lead">What each tenant costs in this month (UTC), against the price of its plan.</p>
      </div>
    </div>
    ${figures}`;
  return { title: 'Spend and margin', body };
}

function marginOf(
  one: TenantSpend,
  directory: SpendSources['directory'],
  { plans }: Policy,
  month: PeriodSpan,
  nowMs: number,
): MarginRow {
  const plan = directory.get(one.tenant_id)?.plan ?? one.plan;
  const price = plans.get(plan)?.price ?? null;
  const projected = projectedCost(one.cost, month, nowMs);
  return { ...one, plan, price, projected, margin: price === null ? null : price - projected };
}

function content(
  rows: readonly MarginRow[],
  { currency, isCut }: { readonly currency: string | null; readonly isCut: boolean },
  request: FastifyRequest,
): Html {
  if (rows.length === 0)
    return emptyState('No usage this month', 'The cost of the first request shows here within seconds.');
  const sum = (pick: (one: MarginRow) => Money | null): string =>
    money(
      rows.reduce((all, one) => all + (pick(one) ?? 0n), 0n),
      currency,
    );
  const amount = (value: Money | null): string => (value === null ? 'no price' : money(value, currency));
  const columns = columnsWith(currency, amount);
  const sorted = sortingOf(request.query as Record<string, string>, sortNames(columns), {
    by: 'margin',
    descending: false,
  });
  const tiles = [
    ['Spend on models', sum(({ spend }) => spend)],
    ['Cost', sum(({ cost }) => cost)],
    ['Projected cost', sum(({ projected }) => projected)],
    ['Projected margin', sum(({ margin }) => margin)],
  ] as const;
  return html`<dl class="tiles">
      ${tiles.map(
        ([name, value]) =>
          html`<div>
            <dt>${name}</dt>
            <dd>${value}</dd>
          </div>`,
      )}
    </dl>
    <p class="soft small">
      Cost: all served calls. Spend on models: the part of calls whose tokens are measured. Projected: the
      cost of the month at the rate so far. Margin: price of the plan minus projected cost; plans without a
      price are left out.
      ${isCut ? `Sums are those of the ${tenantsMax} tenants with the highest cost.` : null}
    </p>
    ${table({
      caption: 'Spend by tenant',
      rows: sortRows(rows, columns, sorted),
      empty: html``,
      columns,
      sorted,
      address: addressOf(request),
    })}`;
}

function columnsWith(
  currency: string | null,
  amount: (value: Money | null) => string,
): readonly Column<MarginRow>[] {
  return [
    {
      ...{ title: 'Tenant', kind: 'head', sort: 'tenant' },
      value: ({ tenant_id: id }) => id,
      cell: ({ tenant_id: id }) => tenantLink(id),
    },
    { title: 'Plan', sort: 'plan', value: ({ plan }) => plan, cell: ({ plan }) => title(plan) },
    {
      ...{ title: 'Spend on models', kind: 'number', sort: 'spend' },
      value: ({ spend }) => spend,
      cell: ({ spend }) => money(spend, currency),
    },
    {
      ...{ title: 'Cost', kind: 'number', sort: 'cost' },
      value: ({ cost }) => cost,
      cell: ({ cost }) => money(cost, currency),
    },
    {
      ...{ title: 'Projected', kind: 'number', sort: 'projected' },
      value: ({ projected }) => projected,
      cell: ({ projected }) => money(projected, currency),
    },
    {
      ...{ title: 'Price', kind: 'number', sort: 'price' },
      value: ({ price }) => price,
      cell: ({ price }) => amount(price),
    },
    {
      ...{ title: 'Margin', kind: 'number', sort: 'margin' },
      value: ({ margin }) => margin,
      cell: ({ margin }) =>
        margin !== null && margin < 0n
          ? html`<span class="badge bad">${amount(margin)}</span>`
          : amount(margin),
    },
  ];
}

function tenantLink(id: string): Html {
  return html`<a href="/operator/tenants/${encodeURIComponent(id)}">${id}</a>`;
}
