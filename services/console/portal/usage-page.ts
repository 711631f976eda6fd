import type { ConsoleParts } from '../console.ts';
import { bar } from '../pages/bars.ts';
import { count, money, span, stamp, title, windowName } from '../pages/format.ts';
import { graph } from '../pages/graph.ts';
import { html } from '../pages/html.ts';
import type { Html } from '../pages/html.ts';
import { emptyState, failedState } from '../pages/layout.ts';
import { readOrNull } from '../read-or-null.ts';
import type { PageContent, Visitor } from './visitor.ts';
import { snapshotOf } from './snapshot.ts';
import type { ShownLimit, Snapshot } from './snapshot.ts';

/** The first page: what is used and left of every limit now, today in figures, the last 24 hours. */
export async function usagePage(parts: ConsoleParts, visitor: Visitor): Promise<PageContent> {
  const [now, points] = await Promise.all([
    snapshotOf({ ...parts, usage: visitor.usage }, visitor.tenantId),
    readOrNull(parts, visitor.usage.series(visitor.tenantId, '24h', parts.clock.now())),
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
        ${freshness(now)}
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
    Your access is blocked ${block.until === null ? 'until further notice' : `until ${stamp(block.until)}`}:
    ${block.reason}. Contact support if this surprises you.
  </p>`;
}

export function limitCards({ limits, as_of_ms: nowMs }: Snapshot): Html {
  if (limits === null) return html`<div class="card">${failedState('Live usage')}</div>`;
  if (limits.length === 0)
    return html`<div class="card">
      ${emptyState('No limit for your whole account', 'Your plan limits single users or addresses only; see “Limits and plan”.')}
    </div>`;
  return html`<div class="limits">${limits.map((limit) => limitCard(limit, nowMs))}</div>`;
}

function limitCard(limit: ShownLimit, nowMs: number): Html {
  const name = limit.route === null ? `Per ${windowName(limit.window_ms)}` : title(limit.name);
  return html`<section class="card" data-limit="${limit.key}" aria-label="${name}">
    <div class="card-head">
      <h2>${name}</h2>
      <span data-slot="state">${stateBadge(limit)}</span>
    </div>
    <p class="limit-figure">
      <span data-slot="used">${count(limit.used)}</span>
      <small>of <span data-slot="limit">${count(limit.limit)}</span> used</small>
    </p>
    ${bar(name, limit.used, limit.limit)}
    <div class="limit-line soft small number">
      <span><span data-slot="remaining">${count(limit.remaining)}</span> left</span>
      <span data-slot="reset" data-reset-at="${limit.reset_at_ms}" data-calendar="${limit.calendar ?? ''}"
        >${resetText(limit, nowMs)}</span
      >
    </div>
    ${limitNotes(limit)}
  </section>`;
}

function stateBadge(limit: ShownLimit): Html | null {
  if (limit.shadow) return html`<span class="badge plain">not enforced</span>`;
  if (limit.retry_after_ms !== 0) return html`<span class="badge bad">limit reached</span>`;
  if (limit.used >= 0.8 * limit.limit) return html`<span class="badge warn">close to the limit</span>`;
  return null;
}

function resetText(limit: ShownLimit, nowMs: number): string {
  if (limit.used === 0 && limit.calendar === null) return 'all available';
  return `${limit.calendar === null ? 'all available again' : 'starts anew'} in ${span(limit.reset_at_ms - nowMs)}`;
}

function limitNotes(limit: ShownLimit): Html | null {
  const notes = [
    ...(limit.route === null ? [] : [html`Counts <code>${limit.route}</code> only.`]),
    ...(limit.burst > 0 ? [html`Bursts up to ${count(limit.limit + limit.burst)} now and then.`] : []),
    ...(limit.boosted_until === null ? [] : [html`Raised for a time, until ${stamp(limit.boosted_until)}.`]),
  ];
  return notes.length === 0 ? null : html`<p class="soft small">${notes.map((note) => html`${note} `)}</p>`;
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

/** Up to when totals and graphs are complete; every page with totals shows it. */
export function freshness(now: Pick<Snapshot, 'complete_through' | 'freshness_known'>): Html {
  if (!now.freshness_known)
    return html`<span class="soft small">Freshness unknown: the usage log does not answer</span>`;
  if (now.complete_through === null)
    return html`<span class="soft small" data-fresh>Nothing recorded yet</span>`;
  return html`<span class="soft small number" data-fresh
    >Complete through <time datetime="${now.complete_through}">${stamp(now.complete_through)}</time></span
  >`;
}
