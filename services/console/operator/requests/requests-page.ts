import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { Role } from '../../../../shared/domain/operators/operator.ts';
import type { Policy } from '../../../../shared/domain/policy.ts';
import type { TenantRecord } from '../../../../shared/domain/tenant.ts';
import { spanMs, spanText } from '../../../../shared/domain/time/duration.ts';
import { formatTime } from '../../../../shared/domain/time/format-time.ts';
import type { TenantDirectory } from '../../../../shared/kafka/tables/tenant-directory.ts';
import type { StoreReads } from '../../../../shared/runtime/store-reads.ts';
import type { Clock } from '../../../../shared/runtime/time/clock.ts';
import { approveRequest } from '../../../../shared/tenants/limit-requests/approve-request.ts';
import { declineRequest } from '../../../../shared/tenants/limit-requests/limit-requests.ts';
import { listRequests } from '../../../../shared/tenants/limit-requests/list-requests.ts';
import type { ListedRequest } from '../../../../shared/tenants/limit-requests/list-requests.ts';
import { withInternalNote } from '../../../../shared/tenants/internal-note.ts';
import { rejection } from '../../../../shared/tenants/outcome.ts';
import type { ChangeRejection, Outcome } from '../../../../shared/tenants/outcome.ts';
import type { TenantRecords } from '../../../../shared/tenants/records.ts';
import { readSeenPlan } from '../../now/seen-plan.ts';
import type { UsageReader } from '../../../../shared/tenants/usage-reader.ts';
import { formOf } from '../../components/form-body.ts';
import { field, formError } from '../../components/form.ts';
import type { RefusedForm } from '../../components/form.ts';
import { counted } from '../../../../shared/domain/text/counted.ts';
import { html } from '../../components/html.ts';
import type { Html } from '../../components/html.ts';
import { emptyState } from '../../components/layout.ts';
import type { PageContent } from '../../components/layout.ts';
import { grantText, requestBadge, requestLine } from '../../components/limit-request.ts';
import { table } from '../../components/table.ts';
import type { Column } from '../../components/table.ts';
import { doneQuery } from '../tenant/actions.ts';
import { doneCard } from '../tenant/change-history.ts';
import { internalNoteField, internalNoteFrom } from '../tenant/reason-fields.ts';
import { actionForOperator, forOperator, mayUse, sendOperatorPage } from '../signed-in.ts';

export interface RequestSources {
  readonly directory: Pick<TenantDirectory, 'all' | 'get'>;
  readonly records: TenantRecords;
  readonly usage: UsageReader;
  readonly policy: () => Policy;
  readonly reads: StoreReads;
  readonly clock: Clock;
}

const here = '/operator/requests';
const openShownMax = 50;
const answeredShownMax = 100;

/** Page of the requests of tenants for higher limits: operators approve or decline them. */
export function registerRequests(app: FastifyInstance, sources: RequestSources): void {
  app.get(
    here,
    forOperator(here, ({ request }) => requestsPage(sources, request, null)),
  );
  const path = '/operator/tenants/:id/requests/:requestId';
  app.post(
    `${path}/approve`,
    actionForOperator('support', (name, request, reply) =>
      answer(sources, { name, request, reply, notice: 'request-approved' }, approve),
    ),
  );
  app.post(
    `${path}/decline`,
    actionForOperator('support', (name, request, reply) =>
      answer(sources, { name, request, reply, notice: 'request-declined' }, decline),
    ),
  );
}

interface Answer {
  readonly tenantId: string;
  readonly requestId: string;
  readonly form: URLSearchParams;
  /** Name of the operator. */
  readonly actor: string;
  readonly role: Role;
}

type Answering = (sources: RequestSources, answer: Answer) => Promise<Outcome<TenantRecord>>;

async function approve(sources: RequestSources, wanted: Answer): Promise<Outcome<TenantRecord>> {
  const { records, usage, policy, reads, clock } = sources;
  const { tenantId, requestId, form, actor, role } = wanted;
  const nowMs = clock.now();
  const plan = await readSeenPlan({ usage, reads }, { tenantId, record: records.of(tenantId) }, nowMs);
  if (!plan.planKnown) return planUnread;
  const approval = { ...grantFrom(form, nowMs), answer: textOf(form, 'answer'), actor, role };
  const context = { policy: policy(), ...plan, nowMs };
  return await records.change(tenantId, actor, (record) =>
    withInternalNote(approveRequest(record, requestId, approval, context), internalNoteFrom(form)),
  );
}

/** Without the plan, it would be unknown whether the granted value raises the limit or lowers it. */
const planUnread = rejection(
  503,
  'Not approved',
  'The usage log, which has the plan of this tenant, does not answer. Try again in a moment, or set a plan.',
);

function decline({ records, clock }: RequestSources, wanted: Answer): Promise<Outcome<TenantRecord>> {
  const { tenantId, requestId, form, actor } = wanted;
  return records.change(tenantId, actor, (record) =>
    withInternalNote(
      declineRequest(record, requestId, { answer: textOf(form, 'answer'), actor }, clock.now()),
      internalNoteFrom(form),
    ),
  );
}

function textOf(form: URLSearchParams, name: string): string {
  return (form.get(name) ?? '').trim();
}

/** An empty duration means without an end. Text that is no duration is kept, so that the check of the end refuses it. */
function grantFrom(form: URLSearchParams, nowMs: number): { set_to: number; ends_at: string | null } {
  const value = textOf(form, 'value');
  const span = textOf(form, 'for');
  const durationMs = spanMs(span);
  const end = durationMs === null ? span : new Date(nowMs + durationMs).toISOString();
  return { set_to: value === '' ? Number.NaN : Number(value), ends_at: span === '' ? null : end };
}

async function answer(
  sources: RequestSources,
  {
    name,
    request,
    reply,
    notice,
  }: { name: string; request: FastifyRequest; reply: FastifyReply; notice: string },
  act: Answering,
): Promise<FastifyReply> {
  const { id: tenantId = '', requestId = '' } = request.params as Record<string, string>;
  const form = formOf(request);
  const role = request.operator?.role ?? 'viewer';
  const outcome = await act(sources, { tenantId, requestId, form, actor: name, role });
  if (outcome.ok) {
    const tenant = encodeURIComponent(tenantId);
    return reply.redirect(`${here}?${doneQuery(notice, outcome.value)}&tenant=${tenant}`, 303);
  }
  const { title, detail, status } = outcome;
  const refusal = { values: form, detail, field: fieldOf(outcome) };
  return sendOperatorPage(reply, here, {
    ...requestsPage(sources, request, { requestId, refusal }),
    status,
    notice: { tone: 'bad', text: `${title}. ${detail}` },
  });
}

const formFields: Readonly<Record<string, string>> = { set_to: 'value', ends_at: 'for' };

function fieldOf({ field: name }: ChangeRejection): string | null {
  return name === undefined ? null : (formFields[name] ?? name);
}

interface Refused {
  readonly requestId: string;
  readonly refusal: RefusedForm;
}

function requestsPage(
  sources: RequestSources,
  request: FastifyRequest,
  refused: Refused | null,
): PageContent {
  const mayAnswer = mayUse(request, 'support');
  const all = listRequests(sources.directory.all());
  const open = all.filter(({ request }) => request.state === 'open');
  const body = html`<div class="page-head">
      <div>
        <h1>Requests</h1>
        <p class="lead">Tenants that request a higher limit. The longest open request is first.</p>
      </div>
    </div>
    ${doneAnswer(sources, request)}
    <section class="stack" aria-label="Open requests">
      ${
        open.length === 0
          ? html`<div class="card">${emptyState('Nothing to answer', 'No request is open.')}</div>`
          : open.slice(0, openShownMax).map((one) => openRequest(sources, one, refused, mayAnswer))
      }
      ${open.length > openShownMax ? html`<p class="soft">Not shown: ${counted(open.length - openShownMax, 'more open request')}.</p>` : null}
    </section>
    <section class="card" aria-labelledby="answered">
      <h2 class="card-head" id="answered">Answered</h2>
      ${table({
        caption: 'Answered requests',
        rows: all.slice(open.length),
        first: { countMax: answeredShownMax, sentence: `The ${answeredShownMax} latest are shown.` },
        empty: emptyState('None yet', 'Answered and withdrawn requests show here.'),
        columns: answeredColumns(sources),
      })}
    </section>`;
  return { title: 'Requests', body };
}

/** The answer that was just saved, with its undo. */
function doneAnswer({ directory, clock }: RequestSources, request: FastifyRequest): Html | null {
  const { change, tenant = '' } = request.query as { change?: string; tenant?: string };
  const record = directory.get(tenant) ?? null;
  const role = request.operator?.role ?? 'viewer';
  return doneCard(change, { record, role, nowMs: clock.now(), zone: 'UTC' });
}

function openRequest(
  { policy }: RequestSources,
  { tenant_id: id, display_name: name, request }: ListedRequest,
  refused: Refused | null,
  mayAnswer: boolean,
): Html {
  const path = `/operator/tenants/${encodeURIComponent(id)}`;
  const refusal = refused?.requestId === request.id ? refused.refusal : null;
  const form = request.id;
  return html`<article class="card" aria-label="Request of ${name ?? id}">
    <h2><a href="${path}">${name ?? id}</a></h2>
    <p>${requestLine(policy(), request)}</p>
    <p>“${request.reason}” <span class="soft small">${formatTime(request.created_at)}</span></p>
    <form method="post" action="${path}/requests/${request.id}/approve" ${mayAnswer ? null : html`hidden`}>
      ${formError(refusal)}
      <div class="row">
        ${field({ kind: 'number', form, name: 'value', label: 'Grant', value: String(request.wanted) }, refusal)}
        ${field({ form, name: 'for', label: 'For', value: request.for_seconds === undefined ? '' : spanText(request.for_seconds), placeholder: 'for good' }, refusal)}
      </div>
      <p class="soft small">
        A duration such as 30m, 12h or 7d; empty: without an end, which needs the role admin.
      </p>
      ${field(
        {
          ...{ form, name: 'answer', label: 'Answer (the tenant reads this)', lengthMax: 500 },
          hint: 'Needed to decline.',
        },
        refusal,
      )}
      ${internalNoteField(form, refusal)}
      <div class="actions">
        <button type="submit">Approve</button>
        <button class="danger" type="submit" formaction="${path}/requests/${request.id}/decline">
          Decline
        </button>
      </div>
    </form>
  </article>`;
}

function answeredColumns({ policy, directory, clock }: RequestSources): readonly Column<ListedRequest>[] {
  return [
    { title: 'When', kind: 'time', cell: ({ request }) => formatTime(request.closed_at ?? '') },
    {
      title: 'Tenant',
      cell: ({ tenant_id: id, display_name: name }) =>
        html`<a href="/operator/tenants/${encodeURIComponent(id)}">${name ?? id}</a>`,
    },
    { title: 'Request', cell: ({ request }) => requestLine(policy(), request) },
    { title: 'State', cell: ({ request }) => requestBadge(request) },
    {
      title: 'Granted',
      cell: ({ tenant_id: id, request }) =>
        grantText(policy(), request, directory.get(id) ?? null, { nowMs: clock.now(), zone: 'UTC' }) ?? '–',
    },
    { title: 'By', cell: ({ request }) => request.closed_by ?? '' },
    { title: 'Answer', cell: ({ request }) => request.answer ?? '' },
  ];
}
