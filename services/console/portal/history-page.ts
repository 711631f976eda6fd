import type { FastifyRequest } from 'fastify';
import { addAmounts } from '../../../shared/domain/amount.ts';
import type { Amount } from '../../../shared/domain/amount.ts';
import type { StoreReads } from '../../../shared/runtime/store-reads.ts';
import type { Clock } from '../../../shared/runtime/time/clock.ts';
import { count, money, percent, share } from '../components/format.ts';
import { freshnessLine, readFreshness } from '../components/freshness.ts';
import { graph } from '../components/graph.ts';
import { html } from '../components/html.ts';
import type { PageContent } from '../components/layout.ts';
import type { Visitor } from './visitor.ts';

export interface HistorySources {
  readonly reads: StoreReads;
  readonly clock: Clock;
}

export async function historyPage(
  { reads, clock }: HistorySources,
  { tenantId, usage }: Visitor,
  request: FastifyRequest,
): Promise<PageContent> {
  const wanted = (request.query as { span?: string }).span;
  const span = wanted === '24h' ? '24h' : '30d';
  const [points, freshness] = await Promise.all([
    reads.orNull(usage.series(tenantId, span, clock.now())),
    readFreshness({ usage, reads }),
  ]);
  const total = (pick: (point: NonNullable<typeof points>[number]) => number): number =>
    (points ?? []).reduce((sum, point) => sum + pick(point), 0);
  const requests = total((point) => point.requests);
  const limited = total((point) => point.limited);
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
    <section class="card" aria-labelledby="graph">
      <div class="card-head">
        <h2 id="graph">${span === '24h' ? 'Requests in 15 minutes' : 'Requests a day'}</h2>
        ${freshnessLine(freshness)}
      </div>
      ${graph(points, span, `/data/series?span=${span}`)}
    </section>
    ${
      points === null || requests === 0
        ? null
        : html`<section class="card" aria-labelledby="sums">
            <h2 id="sums" class="card-head">
              ${span === '24h' ? 'These 24 hours' : 'These 30 days'} in figures
            </h2>
            <dl class="tiles">
              <div>
                <dt>Requests</dt>
                <dd>${count(requests)}</dd>
              </div>
              <div>
                <dt>Served</dt>
                <dd>${count(requests - limited)}</dd>
              </div>
              <div>
                <dt>Refused</dt>
                <dd>${count(limited)}</dd>
              </div>
              <div>
                <dt>Share refused</dt>
                <dd>${percent(share(limited, requests))}</dd>
              </div>
              <div>
                <dt>Units</dt>
                <dd>${count(points.reduce<Amount>((sum, { units }) => addAmounts(sum, units), 0))}</dd>
              </div>
              <div>
                <dt>Cost</dt>
                <dd>${money(points.reduce((sum, { cost }) => sum + cost, 0n))}</dd>
              </div>
            </dl>
          </section>`
    }`;
  return { title: 'History', body, scripts: ['graph.js'] };
}
