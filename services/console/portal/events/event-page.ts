import type { FastifyRequest } from 'fastify';
import type { EventDetail } from '../../../../shared/clickhouse/queries/portal/event-detail.ts';
import type { ExactAmounts } from '../../../../shared/domain/events/call-usage.ts';
import { approximateMoney } from '../../../../shared/domain/money.ts';
import type { Policy } from '../../../../shared/domain/policy.ts';
import { formatTime } from '../../../../shared/domain/time/format-time.ts';
import { requestEventType } from '../../../../shared/domain/usage-event.ts';
import { uuidTimeMs } from '../../../../shared/runtime/uuid-time.ts';
import { count, counted } from '../../../../shared/domain/text/counted.ts';
import { amountText, money, title } from '../../components/format.ts';
import { html, pathCode } from '../../components/html.ts';
import type { Html, HtmlValue } from '../../components/html.ts';
import { emptyState, failedState } from '../../components/layout.ts';
import type { PageContent } from '../../components/layout.ts';
import type { Visit, Visitor } from '../visitor.ts';
import { decisionBadge } from './decisions.ts';
import type { EventSources } from './events-page.ts';

/**
 * Page of one event with all that is recorded about it. For an event of another tenant the response is the same as for an
 * id that does not exist.
 */
export async function eventPage(
  sources: EventSources,
  { tenantId, usage, zone }: Visitor,
  { request, reply }: Visit,
): Promise<PageContent | null> {
  const { id, atMs } = requestedEvent(request);
  // An id without a time can only be searched for, in the list.
  if (atMs === null && uuidTimeMs(id.toLowerCase()) === null && id !== '') {
    await reply.redirect(`/events?span=30d&id=${encodeURIComponent(id)}`, 303);
    return null;
  }
  const answer = await sources.reads.orNull(usage.event(tenantId, id, atMs).then((event) => ({ event })));
  if (answer === null)
    return { title: 'Event', status: 503, body: html`<div class="card">${failedState('This event')}</div>` };
  const { event } = answer;
  if (event === null)
    return {
      title: 'No such event',
      status: 404,
      body: html`<div class="card">
        ${emptyState('No such event', html`None of your events has the id <code>${id}</code>. A fresh one appears within a few seconds. <a href="/events">Back to the list</a>`)}
      </div>`,
    };
  return { title: 'Event', body: eventBody(event, sources.policy(), zone) };
}

/** Id and time from the address. The form “Look up” instead requests `/find` with the id in the query. */
function requestedEvent({ params, query }: FastifyRequest): { id: string; atMs: number | null } {
  const { id } = params as { id: string };
  const { id: wanted = '', at = '' } = query as { id?: string; at?: string };
  return { id: id === 'find' ? wanted.trim() : id, atMs: /^\d{1,15}$/.test(at) ? Number(at) : null };
}

type Fact = readonly [name: string, value: HtmlValue];

function eventBody(event: EventDetail, policy: Policy, zone: string): Html {
  const isRequest = event.type === requestEventType;
  const refused = event.decision === 'limited' || event.decision === 'shadow_limited';
  return html`<div class="page-head">
      <div>
        <p class="small"><a href="/events">Events</a></p>
        <h1>${isRequest ? 'A request' : 'A usage event'}</h1>
        <p class="lead mono">${isRequest ? `${event.method} ${event.path}` : event.type}</p>
      </div>
      ${refused ? html`<a class="button second" href="/refusals/${encodeURIComponent(event.event_id)}">Why it was over a limit</a>` : null}
    </div>
    ${section('What happened', isRequest ? requestFacts(event, zone) : reportedFacts(event, zone))}
    ${section('What it used', usageFacts(event, policy))}
    ${section('Reservation', reservationFacts(event, policy, zone))}
    ${section(
      'Properties',
      Object.entries(event.properties).map(([name, value]) => [name, value]),
    )}
    ${section('How it was recorded', recordFacts(event, zone))}`;
}

function section(name: string, facts: readonly Fact[]): Html | null {
  if (facts.length === 0) return null;
  return html`<section class="card">
    <h2 class="card-head">${name}</h2>
    <dl class="facts">
      ${facts.map(
        ([term, value]) =>
          html`<dt>${term}</dt>
            <dd>${value}</dd>`,
      )}
    </dl>
  </section>`;
}

function requestFacts(event: EventDetail, zone: string): readonly Fact[] {
  return [
    ['Time', formatTime(event.time, zone)],
    ['Decision', decisionBadge(event)],
    ['Answer', event.status === 0 ? 'none recorded' : `status ${event.status}`],
    ['Limits without room', event.limited_by.join(', ') || 'none'],
    ['Rule of the route', event.route === '*' ? 'no route of its own' : pathCode(event.route)],
    ['User', event.user_id || 'none named'],
    ['API key', event.api_key === '' ? 'none' : html`<code>${event.api_key}…</code>`],
    ['Address', event.client_ip || 'unknown'],
    ['Plan then', event.plan || 'unknown'],
    ['Latency', `${count(event.latency_ms)} ms`],
    ['Check of the limits', `${count(event.check_us)} µs`],
    ['Decided', event.degraded ? 'by the node alone, without the shared counters' : 'by the shared counters'],
    ...(event.service === '' ? [] : [['Internal service', event.service] as const]),
  ];
}

function reportedFacts(event: EventDetail, zone: string): readonly Fact[] {
  return [
    ['Time', formatTime(event.time, zone)],
    ['Source', event.source],
    ['User', event.user_id || 'none named'],
    ['Plan', event.plan || 'not named'],
    ['Route', event.route === '' || event.route === '*' ? 'none' : pathCode(event.route)],
  ];
}

function usageFacts(event: EventDetail, policy: Policy): readonly Fact[] {
  const free = event.decision === 'limited';
  return [
    ['Units', `${count(event.units)}${free ? ' (not counted: the request was refused)' : ''}`],
    ['Cost', free ? 'none: the request was refused' : money(event.cost, policy.currency)],
    ...(event.model === '' ? [] : [['Model', event.model] as const]),
    ...amountFacts(event.quantities, policy),
    ...Object.entries(event.measures).map(([name, value]): Fact => [title(name), count(value)]),
    ...(event.usage_source === ''
      ? []
      : [['Usage is', sourceWords[event.usage_source] ?? event.usage_source] as const]),
  ];
}

const sourceWords: Readonly<Record<string, string>> = {
  reported: 'reported by the API',
  measured: 'measured from what was delivered',
  estimated: 'estimated before the call',
};

function reservationFacts(event: EventDetail, policy: Policy, zone: string): readonly Fact[] {
  if (event.reservation === '') return [];
  return [
    ['State', event.reservation],
    ...amountFacts(event.reserved, policy).map(([name, value]): Fact => [`Reserved: ${name}`, value]),
    ['Reserved until', formatTime(event.reserved_until, zone)],
    ['Settlements', event.settlement === 0 ? 'none' : counted(event.settlement, 'settlement')],
    ['Reservation id', html`<code>${event.reservation_id}</code>`],
  ];
}

function amountFacts(amounts: ExactAmounts, policy: Policy): readonly Fact[] {
  return Object.entries(amounts).map(([name, amount]) => [
    title(name),
    amountText(policy, name, approximateMoney(amount)),
  ]);
}

function recordFacts(event: EventDetail, zone: string): readonly Fact[] {
  return [
    ['Event id', html`<code>${event.event_id}</code>`],
    ['Type', html`<code>${event.type}</code>`],
    ['Source', event.source],
    ['Recorded', formatTime(event.ingested_at, zone)],
    ['Corrected', event.corrected ? 'yes: these are the values after the correction' : 'no'],
    ['Entrypoint', event.entrypoint || 'none'],
    ['Gateway', event.node || 'none'],
    ['Log number', String(event.sequence)],
    ['Log position', `partition ${event.kafka_partition}, offset ${event.kafka_offset}`],
  ];
}
