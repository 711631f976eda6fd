import type { FastifyRequest } from 'fastify';
import type { UsageEventRow } from '../../../shared/clickhouse/queries/usage.ts';
import type { Policy } from '../../../shared/domain/policy.ts';
import { formatTime } from '../../../shared/domain/time/format-time.ts';
import { durationForReading } from '../../../shared/domain/time/format-duration.ts';
import type { StoreReads } from '../../../shared/runtime/store-reads.ts';
import type { Clock } from '../../../shared/runtime/time/clock.ts';
import { count } from '../components/format.ts';
import { html } from '../components/html.ts';
import type { Html } from '../components/html.ts';
import { emptyState, failedState } from '../components/layout.ts';
import type { PageContent } from '../components/layout.ts';
import { explainRefusal } from './explain-refusal.ts';
import type { Visit, Visitor } from './visitor.ts';

export interface RefusalSources {
  readonly policy: () => Policy;
  readonly reads: StoreReads;
  readonly clock: Clock;
}

const dayMs = 86_400_000;
const shownMax = 50;

export async function refusalsPage(
  sources: RefusalSources,
  visitor: Visitor,
  { parts }: Visit,
): Promise<PageContent> {
  const sinceMs = sources.clock.now() - 7 * dayMs;
  const content = await parts.render('list', 'The list of refusals', async () => {
    const events = await sources.reads.orNull(visitor.usage.refusals(visitor.tenantId, sinceMs, shownMax));
    return events === null ? failedState('The list of refusals') : list(events, sources, visitor);
  });
  const body = html`<div class="page-head">
      <div>
        <h1>Refusals</h1>
        <p class="lead">
          Requests of the last seven days that were answered with 429, newest first, and why.
        </p>
      </div>
      <a class="button second" href="/guide">How to handle a 429</a>
    </div>
    <section class="card">${decisionForm()} ${content}</section>`;
  return { title: 'Refusals', body };
}

/** Finds a decision by the id that is in the 429 response. */
function decisionForm(): Html {
  return html`<form class="search" method="get" action="/refusals/find">
    <label class="hidden" for="decision">Decision id</label>
    <input class="mono" id="decision" name="id" placeholder="Decision id of a 429, e.g. 019a…" required />
    <button class="second" type="submit">Look up</button>
  </form>`;
}

function list(events: readonly UsageEventRow[], sources: RefusalSources, { record }: Visitor): Html {
  if (events.length === 0)
    return emptyState('Nothing was refused', 'In the last seven days every request had room in all limits.');
  return html`<div class="scroll">
    <table>
      <thead>
        <tr>
          <th scope="col">When</th>
          <th scope="col">Request</th>
          <th scope="col">Why</th>
          <th scope="col"><span class="hidden">Details</span></th>
        </tr>
      </thead>
      <tbody>
        ${events.map(
          (event) =>
            html`<tr>
              <td class="time">${formatTime(event.time)}</td>
              <td><code>${event.method} ${event.path}</code></td>
              <td>
                ${explainRefusal(event, sources.policy(), record).reason}
                ${event.decision === 'shadow_limited' ? html`<span class="badge plain">let pass: not enforced</span>` : null}
              </td>
              <td class="right"><a href="/refusals/${encodeURIComponent(event.event_id)}">Details</a></td>
            </tr>`,
        )}
      </tbody>
    </table>
  </div>`;
}

/**
 * Page of one decision. For a decision of another tenant the response is the same as for an id that does not exist.
 */
export async function refusalPage(
  sources: RefusalSources,
  visitor: Visitor,
  { request }: Visit,
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
  return { title: 'Decision', body: decision(event, sources, visitor) };
}

/** Id from the path. The form “Look up” instead requests `/find` with the id in the query. */
function requestedId({ params, query }: FastifyRequest): string {
  const { id } = params as { id: string };
  return id === 'find' ? ((query as { id?: string }).id ?? '').trim() : id;
}

function decision(event: UsageEventRow, sources: RefusalSources, { record }: Visitor): Html {
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
            <p>${passText(event, why.latestPassMs)}</p>
            <p><strong>What to do:</strong> ${why.advice}</p>
          </section>`
    }
    <section class="card">
      <h2 class="card-head">The request</h2>
      <dl class="facts">
        <dt>Time</dt>
        <dd>${formatTime(event.time)}</dd>
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

function passText(event: UsageEventRow, latestPassMs: number | null): string {
  if (latestPassMs === null) return 'Waiting would not have changed the answer.';
  const wait = durationForReading(latestPassMs - Date.parse(event.time));
  return `It would have passed at the latest ${wait} later, at ${formatTime(latestPassMs)}; its Retry-After header named the exact time.`;
}
