import { formatTime } from '../../../shared/domain/time/format-time.ts';
import { durationForReading, windowName } from '../../../shared/domain/time/format-duration.ts';
import { bar } from './bars.ts';
import { count, title } from './format.ts';
import { html } from './html.ts';
import type { Html } from './html.ts';
import { emptyState, failedState } from './layout.ts';
import type { ShownLimit, Snapshot } from './snapshot.ts';

/** One card for each limit that counts all usage of the tenant. `live.js` refreshes the figures. */
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
  return `${limit.calendar === null ? 'all available again' : 'starts anew'} in ${durationForReading(limit.reset_at_ms - nowMs)}`;
}

function limitNotes(limit: ShownLimit): Html | null {
  const notes = [
    ...(limit.route === null ? [] : [html`Counts <code>${limit.route}</code> only.`]),
    ...(limit.burst > 0 ? [html`Bursts up to ${count(limit.limit + limit.burst)} now and then.`] : []),
    ...(limit.boosted_until === null
      ? []
      : [html`Raised for a time, until ${formatTime(limit.boosted_until)}.`]),
  ];
  return notes.length === 0 ? null : html`<p class="soft small">${notes.map((note) => html`${note} `)}</p>`;
}
