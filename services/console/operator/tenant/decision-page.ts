import type { TenantDirectory } from '../../../../shared/kafka/tables/tenant-directory.ts';
import { zoneNamed } from '../../../../shared/domain/time/calendar.ts';
import type { UsageReader } from '../../../../shared/tenants/usage-reader.ts';
import { html } from '../../components/html.ts';
import { emptyState, failedState } from '../../components/layout.ts';
import type { PageContent } from '../../components/layout.ts';
import { countersPart } from '../../decisions/decision-counters.ts';
import type { DecisionSources } from '../../decisions/decision-counters.ts';
import { decisionView } from '../../decisions/decision-view.ts';
import type { OperatorVisit } from '../signed-in.ts';

export interface OperatorDecisionSources extends DecisionSources {
  readonly usage: UsageReader;
  readonly directory: Pick<TenantDirectory, 'get'>;
}

/** Page of one decision of any tenant. Times are in the tenant's zone, as the tenant sees them. */
export async function decisionPage(
  sources: OperatorDecisionSources,
  { request, parts }: OperatorVisit,
): Promise<PageContent> {
  const { usage, reads, directory } = sources;
  const named = (request.params as { id: string }).id;
  const id = named === 'find' ? ((request.query as { id?: string }).id ?? '').trim() : named;
  const answer = await reads.orNull(usage.decision(id).then((event) => ({ event })));
  if (answer === null)
    return {
      ...{ title: 'Decision', status: 503 },
      body: html`<div class="card">${failedState('This decision')}</div>`,
    };
  const { event } = answer;
  if (event === null)
    return {
      ...{ title: 'No such decision', status: 404 },
      body: html`<div class="card">
        ${emptyState('No such decision', html`No recorded request has the id <code>${id}</code>. A new one appears within a few seconds. <a href="/operator/tenants">All tenants</a>`)}
      </div>`,
    };
  const { tenant_id: tenantId } = event;
  const record = directory.get(tenantId) ?? null;
  const tenant = { tenantId, record, zone: zoneNamed(record?.time_zone) ?? 'UTC', usage };
  const counters = await parts.render('counters', 'The counters at that time', () =>
    countersPart(event, sources, tenant),
  );
  const back = html`<a href="/operator/tenants/${encodeURIComponent(tenantId)}"
    >${record?.display_name ?? tenantId}</a
  >`;
  return { title: 'Decision', body: decisionView(event, sources, tenant, { counters, back }) };
}
