import { counted } from '../../../shared/domain/text/counted.ts';
import { attributeNames } from '../../../shared/domain/limit.ts';
import type { Limit } from '../../../shared/domain/limit.ts';
import { approximateMoney } from '../../../shared/domain/money.ts';
import { durationForReading, windowName } from '../../../shared/domain/time/format-duration.ts';
import { formatTime } from '../../../shared/domain/time/format-time.ts';
import { requestsName } from '../../../shared/domain/usage/quantity.ts';
import { bar } from '../components/bars.ts';
import { minorAmountText, title } from '../components/format.ts';
import { breakable, html, pathCode } from '../components/html.ts';
import type { Html } from '../components/html.ts';
import { emptyState, failedState } from '../components/layout.ts';
import { requestLink } from '../components/links.ts';
import type { CounterReading, LimitReading, NowReading } from './readings.ts';

/** Usage that leads to a refusal later than this is not announced. */
const announcedMs = 24 * 3_600_000;

export interface CardLinks {
  /** True: each card has a link to the page on which the tenant requests a higher limit. */
  readonly requests?: boolean;
}

/** All limits that can refuse a request, with their counters. The server sends this part again when it changes. */
export function limitCards(reading: NowReading, links: CardLinks = {}): Html {
  const { limits } = reading;
  if (limits === null) return html`<div class="card">${failedState('Live usage')}</div>`;
  if (limits.length === 0)
    return html`<div class="card">${emptyState('No limits', 'No limit of your plan counts requests.')}</div>`;
  return html`${refusingNow(limits)}
    <div class="limits">
      ${limits.map((one) => (one.individual ? individualCard(one, reading, links) : sharedCard(one, reading, links)))}
    </div>`;
}

/** Names the counters that refuse requests now, so that no full counter of one user is overlooked among the cards. */
function refusingNow(limits: readonly LimitReading[]): Html | null {
  const refusing = limits.flatMap((one) =>
    one.counters.filter(isRefusing).map((counter) => ({ limit: one.held.limit, counter })),
  );
  if (refusing.length === 0) return null;
  return html`<div class="notice bad" role="status" id="refusing">
    <strong>Refused now:</strong>
    <ul>
      ${refusing.map(
        ({ limit, counter: { subject, state } }) =>
          html`<li>
            ${title(limit.name)}${subject.name === null ? null : html` for <strong>${subject.name}</strong>`}${limit.route === null ? null : html` on ${pathCode(limit.route)}`}:
            ${state.retryAfterMs === null ? 'the limit is 0' : `the next request passes in ${durationForReading(state.retryAfterMs)}`}
          </li>`,
      )}
    </ul>
  </div>`;
}

function isRefusing({ state }: CounterReading): boolean {
  return state.mode === 'enforce' && state.retryAfterMs !== 0;
}

function sharedCard(one: LimitReading, reading: NowReading, links: CardLinks): Html | null {
  const { limit } = one.held;
  const [counter] = one.counters;
  if (counter === undefined) return null;
  const { state, used } = counter;
  const text = (minor: number): string => minorAmountText(reading.units, limit.of, minor);
  const name = nameOf(limit);
  return html`<section
    class="card"
    id="${idOf(limit)}"
    data-limit="${limit.route ?? '*'} ${limit.name}"
    aria-label="${name}"
  >
    <div class="card-head">
      <h2>${name}</h2>
      <span data-slot="state">${stateBadge(counter)}</span>
    </div>
    <p class="limit-figure">
      <span data-slot="used">${text(used)}</span>
      <small>of <span data-slot="limit">${text(state.limit)}</span> used</small>
    </p>
    ${bar(name, used, state.limit, { text })}
    <div class="limit-line soft small number">
      <span><span data-slot="remaining">${text(state.remaining)}</span> left</span>
      <span data-slot="reset">${resetText(limit, counter, reading.asOfMs)}</span>
    </div>
    ${exhaustionText(limit, counter, reading.asOfMs)} ${reservedText(limit, used, reading)}
    ${notesOf(one, text, links)}
  </section>`;
}

function individualCard(
  { held, counters, listed }: LimitReading,
  reading: NowReading,
  links: CardLinks,
): Html {
  const { limit } = held;
  const text = (minor: number): string => minorAmountText(reading.units, limit.of, minor);
  const name = `${title(limit.name)}: ${text(limit.limit)} a ${limit.period ?? windowName(limit.windowMs)} for ${countedWords(limit)}`;
  return html`<section
    class="card"
    id="${idOf(limit)}"
    data-limit="${limit.route ?? '*'} ${limit.name}"
    aria-label="${name}"
  >
    <div class="card-head"><h2>${name}</h2></div>
    ${
      counters.length === 0
        ? html`<p class="soft small">${noCounters(listed, reading)}</p>`
        : html`<ul class="list counters">
            ${counters.map((counter) => counterItem(limit, counter, reading.asOfMs, text))}
          </ul>`
    }
    ${notesOf({ held }, text, links)}
  </section>`;
}

function counterItem(
  limit: Limit,
  counter: CounterReading,
  nowMs: number,
  text: (minor: number) => string,
): Html {
  const { subject, state, used } = counter;
  return html`<li data-counter="${subject.name ?? ''}">
    <div class="limit-line">
      <span class="counter-name">${breakable(subject.name ?? 'your group')}</span>
      <span class="number"
        ><strong>${text(used)}</strong> of ${text(state.limit)} ${stateBadge(counter)}</span
      >
    </div>
    ${bar(subject.name ?? limit.name, used, state.limit, { kind: 'thin', text })}
    <div class="limit-line soft small number">
      <span
        >${text(state.remaining)}
        left${subject.requests === null ? '' : `, ${counted(subject.requests, 'request')} in 10 min`}</span
      >
      <span>${resetText(limit, counter, nowMs)}</span>
    </div>
    ${exhaustionText(limit, counter, nowMs)}
  </li>`;
}

function noCounters(listed: boolean, { callersKnown }: NowReading): string {
  if (!listed)
    return 'The usage log does not record what this limit counts, so its callers cannot be listed.';
  if (!callersKnown) return 'The usage log does not answer, so the callers cannot be listed.';
  return 'No requests in the last ten minutes.';
}

function stateBadge(counter: CounterReading): Html | null {
  const { state, used } = counter;
  if (state.mode === 'shadow') return html`<span class="badge plain">not enforced</span>`;
  if (isRefusing(counter)) return html`<span class="badge bad">limit reached</span>`;
  if (used >= 0.8 * state.limit) return html`<span class="badge warn">close to the limit</span>`;
  return null;
}

function resetText(limit: Limit, { state, used }: CounterReading, nowMs: number): string {
  if (isFull(state) && state.retryAfterMs !== null)
    return `next request passes in ${durationForReading(state.retryAfterMs)}`;
  if (used === 0 && limit.period === null) return 'all available';
  return `${limit.period === null ? 'all available again' : 'starts anew'} in ${durationForReading(state.resetAtMs - nowMs)}`;
}

function isFull({ retryAfterMs }: CounterReading['state']): boolean {
  return retryAfterMs !== 0;
}

function exhaustionText(limit: Limit, { state, exhaustedInMs }: CounterReading, nowMs: number): Html | null {
  if (exhaustedInMs === null || exhaustedInMs > announcedMs) return null;
  if (limit.period !== null && exhaustedInMs > state.resetAtMs - nowMs)
    return html`<p class="soft small" data-slot="exhaustion">
      Lasts to the end of the ${limit.period} at the rate of the last minute.
    </p>`;
  return html`<p class="small" data-slot="exhaustion">
    At the rate of the last minute used up in <strong>${durationForReading(exhaustedInMs)}</strong>.
  </p>`;
}

/** The part of a budget that running calls have reserved, and the part that is settled. */
function reservedText({ of }: Limit, usedMinor: number, { reserved, units }: NowReading): Html | null {
  if (of === requestsName) return null;
  const scale = 10 ** (units.quantities.get(of)?.decimals ?? 0);
  const open = Math.min(usedMinor, Math.round(approximateMoney(reserved[of] ?? 0n) * scale));
  return html`<p class="soft small number" data-slot="reserved">
    ${minorAmountText(units, of, open)} reserved by running calls,
    ${minorAmountText(units, of, usedMinor - open)} settled
  </p>`;
}

function notesOf(
  { held: { limit, boost } }: Pick<LimitReading, 'held'>,
  text: (minor: number) => string,
  { requests = false }: CardLinks,
): Html | null {
  const notes = [
    ...(limit.route === null ? [] : [html`Counts ${pathCode(limit.route)} only.`]),
    ...(limit.burst > 0 ? [html`Bursts up to ${text(limit.limit + limit.burst)} now and then.`] : []),
    ...(boost === null ? [] : [html`Raised for a time, until ${formatTime(boost.ends_at)}.`]),
    ...(requests ? [requestLink(limit)].filter((link) => link !== null) : []),
  ];
  return notes.length === 0 ? null : html`<p class="soft small">${notes.map((note) => html`${note} `)}</p>`;
}

function nameOf(limit: Limit): string {
  return limit.route === null && limit.of === requestsName
    ? `Per ${windowName(limit.windowMs)}`
    : `${title(limit.name)} per ${limit.period ?? windowName(limit.windowMs)}`;
}

/** Morphing keeps an element that has the same id. */
function idOf({ name, route, of }: Limit): string {
  return `limit-${`${route ?? 'all'} ${name} ${of}`.replace(/[^\w]+/g, '-')}`;
}

function countedWords(limit: Limit): string {
  const attributes = attributeNames(limit).map((name) => (name === 'key' ? 'API key' : name));
  const words = [
    ...(limit.per.includes('group') ? ['group'] : []),
    ...(limit.per.includes('user') ? ['user'] : []),
    ...(limit.per.includes('ip') ? ['address'] : []),
    ...attributes,
  ];
  return `each ${words.join(' and ')}`;
}
