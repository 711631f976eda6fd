import { formatTime } from '../../../shared/domain/time/format-time.ts';
import { count, money, title } from '../components/format.ts';
import { freshnessLine } from '../components/freshness.ts';
import { graph } from '../components/graph.ts';
import { html } from '../components/html.ts';
import type { Html } from '../components/html.ts';
import { emptyState, failedState } from '../components/layout.ts';
import type { PageContent } from '../components/layout.ts';
import { limitCards } from '../components/limit-cards.ts';
import { readSnapshot } from '../components/snapshot.ts';
import type { Snapshot, SnapshotSources } from '../components/snapshot.ts';
import type { Visitor } from './visitor.ts';

export type UsageSources = Omit<SnapshotSources, 'usage'>;

/**
 * First page of the portal: current used and remaining units of every limit, today's figures, and a graph of the last
 * 24 hours.
 */
export async function usagePage(sources: UsageSources, { tenantId, usage }: Visitor): Promise<PageContent> {
  const [now, points] = await Promise.all([
    readSnapshot({ ...sources, usage }, tenantId),
    sources.reads.orNull(usage.series(tenantId, '24h', sources.clock.now())),
  ]);
  const body = html`<div class="page-head">
      <div>
        <h1>Usage now</h1>
        <p class="lead">What you have used of each limit, and when all of it is available again.</p>
      </div>
      <p><span class="badge">${title(now.plan)} plan</span></p>
    </div>
    ${blockNotice(now)}
    <div data-live="/data/usage">
      <p class="notice bad" data-live-error hidden role="status">Live figures have stopped. Trying again…</p>
      ${limitCards(now)}
    </div>
    <section class="card" aria-labelledby="today">
      <div class="card-head">
        <h2 id="today">Today</h2>
        ${freshnessLine(now)}
      </div>
      ${todayTiles(now)}
    </section>
    <section class="card" aria-labelledby="day">
      <div class="card-head">
        <h2 id="day">Last 24 hours</h2>
        <a href="/history">30 days</a>
      </div>
      ${graph(points, '24h', '/data/series?span=24h')}
    </section>`;
  return { title: 'Usage', body, scripts: ['live.js', 'graph.js'] };
}

function blockNotice({ block }: Snapshot): Html | null {
  if (block === null) return null;
  return html`<p class="notice bad" role="alert">
    Your access is blocked
    ${block.until === null ? 'until further notice' : `until ${formatTime(block.until)}`}: ${block.reason}.
    Contact support if this surprises you.
  </p>`;
}

function todayTiles({ today }: Snapshot): Html {
  if (today === null) return failedState("Today's totals");
  if (today.requests === 0)
    return emptyState('No requests yet today', 'The first one shows here within seconds.');
  return html`<dl class="tiles" data-today>
    <div>
      <dt>Requests</dt>
      <dd data-slot="requests">${count(today.requests)}</dd>
    </div>
    <div>
      <dt>Served</dt>
      <dd data-slot="served">${count(today.requests - today.limited)}</dd>
    </div>
    <div>
      <dt>Refused</dt>
      <dd data-slot="limited">${count(today.limited)}</dd>
    </div>
    <div>
      <dt>Server errors</dt>
      <dd data-slot="errors">${count(today.errors)}</dd>
    </div>
    <div>
      <dt>Units</dt>
      <dd data-slot="units">${count(today.units)}</dd>
    </div>
    <div>
      <dt>Cost</dt>
      <dd data-slot="cost">${money(today.cost)}</dd>
    </div>
  </dl>`;
}
