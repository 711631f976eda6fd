import { addAmounts } from '../../../shared/domain/amount.ts';
import type { Amount } from '../../../shared/domain/amount.ts';
import type { Policy } from '../../../shared/domain/policy.ts';
import type { StoreReads } from '../../../shared/runtime/store-reads.ts';
import type { Clock } from '../../../shared/runtime/time/clock.ts';
import { count, money, percent, share } from '../components/format.ts';
import { freshnessLine, readFreshness } from '../components/freshness.ts';
import { html } from '../components/html.ts';
import type { PageContent } from '../components/layout.ts';
import { usageChart } from '../components/usage-chart.ts';
import type { Visit, Visitor } from './visitor.ts';

export interface HistorySources {
  readonly reads: StoreReads;
  readonly clock: Clock;
  readonly policy: () => Policy;
}

export async function historyPage(
  { reads, clock, policy }: HistorySources,
  { tenantId, usage, zone }: Visitor,
  { request, parts }: Visit,
): Promise<PageContent> {
  const wanted = (request.query as { span?: string }).span;
  const span = wanted === '24h' ? '24h' : '30d';
  const content = await parts.render('history', 'The history', async () => {
    const [points, freshness] = await Promise.all([
      reads.orNull(usage.series(tenantId, span, clock.now())),
      readFreshness({ usage, reads }),
    ]);
    const total = (pick: (point: NonNullable<typeof points>[number]) => number): number =>
      (points ?? []).reduce((sum, point) => sum + pick(point), 0);
    const requests = total((point) => point.requests);
    const limited = total((point) => point.limited);
    const units = (points ?? []).reduce<Amount>((sum, point) => addAmounts(sum, point.units), 0);
    const cost = (points ?? []).reduce((sum, point) => sum + point.cost, 0n);
    const figures = [
      ['Requests', count(requests)],
      ['Served', count(requests - limited)],
      ['Refused', count(limited)],
      ['Share refused', percent(share(limited, requests))],
      ['Units', count(units)],
      ['Cost', money(cost, policy().currency)],
    ] as const;
    return html`<div class="card-head">
        <h2 id="graph">${span === '24h' ? 'Requests in 15 minutes' : 'Requests a day'}</h2>
        ${freshnessLine(freshness)}
      </div>
      ${usageChart(points, span, zone)}
      ${
        requests === 0
          ? null
          : html`<dl class="tiles">
              ${figures.map(
                ([name, value]) =>
                  html`<div>
                    <dt>${name}</dt>
                    <dd>${value}</dd>
                  </div>`,
              )}
            </dl>`
      }`;
  });
  const body = html`<div class="page-head">
      <div>
        <h1>History</h1>
        <p class="lead">Requests served and refused over time.</p>
      </div>
      <nav class="segments" aria-label="Span">
        ${(['24h', '30d'] as const).map(
          (one) =>
            html`<a href="/history?span=${one}" ${one === span ? html`aria-current="true"` : null}
              >${one === '24h' ? '24 hours' : '30 days'}</a
            >`,
        )}
      </nav>
    </div>
    <section class="card" aria-labelledby="graph">${content}</section>`;
  return { title: 'History', body, charts: true };
}
