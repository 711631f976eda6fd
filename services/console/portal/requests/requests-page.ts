import type { FastifyInstance } from 'fastify';
import type { Policy } from '../../../../shared/domain/policy.ts';
import type { LimitRequest, TenantRecord } from '../../../../shared/domain/tenant.ts';
import { formatTime } from '../../../../shared/domain/time/format-time.ts';
import { spanMs } from '../../../../shared/domain/time/duration.ts';
import type { StoreReads } from '../../../../shared/runtime/store-reads.ts';
import type { Clock } from '../../../../shared/runtime/time/clock.ts';
import {
  openRequestsMax,
  requestLimit,
  withdrawRequest,
} from '../../../../shared/tenants/limit-requests/limit-requests.ts';
import type { NewLimitRequest } from '../../../../shared/tenants/limit-requests/limit-requests.ts';
import { readSeenPlan } from '../../now/seen-plan.ts';
import { raisableLimits } from '../../../../shared/tenants/limit-requests/raisable-limits.ts';
import type {
  LimitContext,
  RaisableLimit,
} from '../../../../shared/tenants/limit-requests/raisable-limits.ts';
import type { TenantRecords } from '../../../../shared/tenants/records.ts';
import { formOf } from '../../components/form-body.ts';
import { field, formError } from '../../components/form.ts';
import type { RefusedForm } from '../../components/form.ts';
import { amountText, title } from '../../components/format.ts';
import { html } from '../../components/html.ts';
import type { Html } from '../../components/html.ts';
import { emptyState } from '../../components/layout.ts';
import type { Notice, PageContent } from '../../components/layout.ts';
import { grantText, requestBadge, requestLine } from '../../components/limit-request.ts';
import { forTenant } from '../visitor.ts';
import type { Visit, Visitor } from '../visitor.ts';

export interface RequestSources {
  readonly records: TenantRecords;
  readonly policy: () => Policy;
  readonly reads: StoreReads;
  readonly clock: Clock;
}

/** The tab that is marked as the present one: requests belong to the limits. */
const tab = '/limits';

/** Page on which a tenant requests a higher limit, and reads the answers to its requests. */
export function registerRequests(app: FastifyInstance, sources: RequestSources): void {
  const { records, clock } = sources;
  app.get(
    '/requests',
    forTenant(tab, (visitor, visit) => requestsPage(sources, visitor, visit, null)),
  );
  app.post(
    '/requests',
    forTenant(tab, async (visitor, visit) => {
      const form = formOf(visit.request);
      const context = await limitContext(sources, visitor);
      const outcome = await records.change(visitor.tenantId, visitor.access.actor, (record) =>
        requestLimit(record, newRequest(form), context),
      );
      if (outcome.ok) return redirected(visit, 'sent');
      const { detail, field: name = null, status } = outcome;
      const content = await requestsPage(sources, visitor, visit, { values: form, detail, field: name });
      return { ...content, status };
    }),
  );
  app.post(
    '/requests/:id/withdraw',
    forTenant(tab, async (visitor, visit) => {
      const { id } = visit.request.params as { id: string };
      const outcome = await records.change(visitor.tenantId, visitor.access.actor, (record) =>
        withdrawRequest(record, id, visitor.access.actor.actor, clock.now()),
      );
      return redirected(visit, outcome.ok ? 'withdrawn' : 'not-open');
    }),
  );
}

const notices = new Map<string, Notice>(
  Object.entries({
    sent: { tone: 'good', text: 'Sent. The answer shows below.' },
    withdrawn: { tone: 'good', text: 'Request withdrawn.' },
    'not-open': { tone: 'bad', text: 'This request was answered or withdrawn in the meantime.' },
  }),
);

async function redirected({ reply }: Visit, done: string): Promise<null> {
  await reply.redirect(`/requests?done=${done}`, 303);
  return null;
}

async function requestsPage(
  sources: RequestSources,
  visitor: Visitor,
  { request, parts }: Visit,
  refused: RefusedForm | null,
): Promise<PageContent> {
  const { limit = '', done = '' } = request.query as { limit?: string; done?: string };
  const form = await parts.render('form', 'Your limits', async () => {
    const limits = raisableLimits(visitor.record, await limitContext(sources, visitor));
    return requestForm(sources.policy(), limits, limit, refused);
  });
  const body = html`<div class="page-head">
      <div>
        <p class="small"><a href="/limits">Limits and plan</a></p>
        <h1>Request more</h1>
        <p class="lead">
          Request a higher value of one of your limits, for a time or for good. Your provider answers here.
        </p>
      </div>
    </div>
    <div class="columns">
      <section class="card" aria-labelledby="new">
        <h2 class="card-head" id="new">A new request</h2>
        ${form}
      </section>
      <section class="card" aria-labelledby="sent">
        <h2 class="card-head" id="sent">Your requests</h2>
        ${requestList(sources, visitor)}
      </section>
    </div>`;
  return { title: 'Request more', body, notice: notices.get(done) ?? null };
}

async function limitContext(
  { policy, reads, clock }: RequestSources,
  visitor: Visitor,
): Promise<LimitContext> {
  const nowMs = clock.now();
  const plan = await readSeenPlan({ usage: visitor.usage, reads }, visitor, nowMs);
  return { policy: policy(), ...plan, nowMs };
}

function newRequest(form: URLSearchParams): NewLimitRequest {
  const text = (name: string): string => (form.get(name) ?? '').trim();
  const span = text('for');
  return {
    limit: text('limit'),
    wanted: text('wanted') === '' ? Number.NaN : Number(text('wanted')),
    forMs: span === 'ever' ? null : (spanMs(span) ?? Number.NaN),
    reason: text('reason'),
  };
}

const spans = [
  ['1h', '1 hour'],
  ['1d', '1 day'],
  ['7d', '1 week'],
  ['30d', '30 days'],
  ['90d', '90 days'],
  ['ever', 'For good'],
] as const;

function requestForm(
  policy: Policy,
  limits: readonly RaisableLimit[],
  chosen: string,
  refused: RefusedForm | null,
): Html {
  if (limits.length === 0)
    return emptyState('No limits', 'Your plan has no limit that can be raised for your account alone.');
  const options = limits.map(({ name, of, value }) => {
    const now = value === undefined ? '' : `: ${amountText(policy, of, value)} now`;
    return [name, `${title(name)}${now}`] as const;
  });
  return html`<form method="post" action="/requests">
    ${formError(refused)}
    ${field({ kind: 'select', name: 'limit', label: 'Limit', value: chosen, options }, refused)}
    <div class="row">
      ${field({ kind: 'number', name: 'wanted', label: 'Wanted value', required: true }, refused)}
      ${field({ kind: 'select', name: 'for', label: 'For', value: '7d', options: spans }, refused)}
    </div>
    ${field(
      {
        ...{ kind: 'area', name: 'reason', label: 'Why', required: true, lengthMax: 500 },
        hint: 'What happens, and when. Your provider reads it before the answer.',
      },
      refused,
    )}
    <div class="actions"><button type="submit">Send the request</button></div>
    <p class="soft small">At most ${openRequestsMax} requests can be open, one for each limit.</p>
  </form>`;
}

function requestList(sources: RequestSources, { record, zone }: Visitor): Html {
  const requests = record?.limit_requests ?? [];
  if (requests.length === 0) return emptyState('None yet', 'Requests and their answers show here.');
  return html`<ul class="list" id="requests">
    ${requests.map((request) => requestItem(sources, request, record, zone))}
  </ul>`;
}

function requestItem(
  { policy, clock }: RequestSources,
  request: LimitRequest,
  record: TenantRecord | null,
  zone: string,
): Html {
  const granted = grantText(policy(), request, record, { nowMs: clock.now(), zone });
  return html`<li>
    ${requestLine(policy(), request)} ${requestBadge(request)}
    ${granted === null ? null : html`<br />${granted}`}
    ${request.answer === undefined ? null : html`<br />Answer: “${request.answer}”`}
    <br /><span class="soft small"
      >Sent
      ${formatTime(request.created_at, zone)}${request.closed_at === undefined ? null : `, ${request.state} ${formatTime(request.closed_at, zone)}`}:
      ${request.reason}</span
    >
    ${
      request.state === 'open'
        ? html`<form class="plain" method="post" action="/requests/${request.id}/withdraw">
            <button class="quiet" type="submit">Withdraw</button>
          </form>`
        : null
    }
  </li>`;
}
