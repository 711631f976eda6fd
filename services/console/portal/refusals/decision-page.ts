import type { FastifyRequest } from 'fastify';
import { html } from '../../components/html.ts';
import { emptyState, failedState } from '../../components/layout.ts';
import type { PageContent } from '../../components/layout.ts';
import { countersPart } from '../../decisions/decision-counters.ts';
import { decisionView } from '../../decisions/decision-view.ts';
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
  return {
    title: 'Decision',
    body: decisionView(event, sources, visitor, {
      counters,
      back: html`<a href="/refusals">All refusals</a>`,
    }),
  };
}

/** Id from the path. The form “Look up” instead requests `/find` with the id in the query. */
function requestedId({ params, query }: FastifyRequest): string {
  const { id } = params as { id: string };
  return id === 'find' ? ((query as { id?: string }).id ?? '').trim() : id;
}
