import type { FastifyRequest } from 'fastify';
import type { UsageEventRow } from '../../../../shared/clickhouse/queries/usage.ts';
import { durationForReading } from '../../../../shared/domain/time/format-duration.ts';
import { formatTime } from '../../../../shared/domain/time/format-time.ts';
import { count } from '../../components/format.ts';
import { html } from '../../components/html.ts';
import type { Html } from '../../components/html.ts';
import { emptyState, failedState } from '../../components/layout.ts';
import type { PageContent } from '../../components/layout.ts';
import { countersPart } from './decision-counters.ts';
import { explainRefusal } from './explain-refusal.ts';
import type { RefusalSources } from './refusals-page.ts';
import type { Visit, Visitor } from '../visitor.ts';

/**
 * Page of one decision. For a decision of another tenant the response is the same as for an id that does not exist.
 */
export async function refusalPage(
  sources: RefusalSources,
  visitor: Visitor,
  { request, parts }: Visit,
): Promise<PageContent> {
  const id = requestedId(request);
  const answer = await sources.reads.orNull(visitor.usage.decision(id).then((event) => ({ event })));
  if (answer === null)
    return {
      title: 'Decision',
      status: 503,
      body: html`<div class="card">${failedState('This decision')}</div>`,
    };
  const { event } = answer;
  if (event === null || event.tenant_id !== visitor.tenantId) {
    return {
      title: 'No such decision',
      status: 404,
      body: html`<div class="card">
        ${emptyState('No such decision', html`None of your requests has the id <code>${id}</code>. A fresh one appears within a few seconds. <a href="/refusals">Back to the list</a>`)}
      </div>`,
    };
  }
  const counters = await parts.render('counters', 'The counters at that time', () =>
    countersPart(event, sources, visitor),
  );
  return { title: 'Decision', body: decision(event, sources, visitor, counters) };
}

/** Id from the path. The form “Look up” instead requests `/find` with the id in the query. */
function requestedId({ params, query }: FastifyRequest): string {
  const { id } = params as { id: string };
  return id === 'find' ? ((query as { id?: string }).id ?? '').trim() : id;
}

function decision(
  event: UsageEventRow,
  sources: RefusalSources,
  { record, zone }: Visitor,
  counters: Html,
): Html {
  const refusedNow = event.decision === 'limited' || event.decision === 'shadow_limited';
  const why = refusedNow ? explainRefusal(event, sources.policy(), record) : null;
  return html`<div class="page-head">
      <div>
        <h1>${event.decision === 'limited' ? 'Why this was refused' : 'A decision'}</h1>
        <p class="lead mono">${event.method} ${event.path}</p>
      </div>
      <a href="/refusals">All refusals</a>
    </div>
    ${
      why === null
        ? html`<section class="card"><p>This request was let pass (${event.decision}).</p></section>`
        : html`<section class="card stack">
            <h2>${why.reason}</h2>
            <p>${passText(event, why.latestPassMs, zone)}</p>
            <p><strong>What to do:</strong> ${why.advice}</p>
          </section>`
    }
    ${counters}
    <section class="card">
      <h2 class="card-head">The request</h2>
      <dl class="facts">
        <dt>Time</dt>
        <dd>${formatTime(event.time, zone)}</dd>
        <dt>Answer</dt>
        <dd>${event.status}</dd>
        <dt>Rule of the route</dt>
        <dd>${event.route === '*' ? 'no route of its own' : html`<code>${event.route}</code>`}</dd>
        <dt>Limits without room</dt>
        <dd>${event.limited_by.join(', ') || 'none'}</dd>
        <dt>User</dt>
        <dd>${event.user_id || 'none named'}</dd>
        <dt>Address</dt>
        <dd>${event.client_ip || 'unknown'}</dd>
        <dt>Plan then</dt>
        <dd>${event.plan}</dd>
        <dt>Units requested</dt>
        <dd>${count(event.units)}</dd>
        <dt>Decided</dt>
        <dd>
          ${event.degraded ? 'by the node alone, without Redis (limits are shared out among nodes then)' : 'by the shared counters'}
        </dd>
        <dt>Decision id</dt>
        <dd><code>${event.event_id}</code></dd>
      </dl>
    </section>`;
}

function passText(event: UsageEventRow, latestPassMs: number | null, zone: string): string {
  if (latestPassMs === null) return 'Waiting would not have changed the answer.';
  const wait = durationForReading(latestPassMs - Date.parse(event.time));
  return `It would have passed at the latest ${wait} later, at ${formatTime(latestPassMs, zone)}; its Retry-After header named the exact time.`;
}
