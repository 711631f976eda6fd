import type { FastifyReply } from 'fastify';
import type { Policy } from '../../../shared/domain/policy.ts';
import type { LimitRequestState, TenantRecord } from '../../../shared/domain/tenant.ts';
import type { TenantDirectory } from '../../../shared/kafka/tables/tenant-directory.ts';
import type { Clock } from '../../../shared/runtime/time/clock.ts';
import { approveRequest } from '../../../shared/tenants/limit-requests/approve-request.ts';
import { declineRequest } from '../../../shared/tenants/limit-requests/limit-requests.ts';
import { listRequests, openRequestCount } from '../../../shared/tenants/limit-requests/list-requests.ts';
import { withInternalNote } from '../../../shared/tenants/internal-note.ts';
import type { Outcome } from '../../../shared/tenants/outcome.ts';
import type { TenantRecords } from '../../../shared/tenants/records.ts';
import type { UsageReader } from '../../../shared/tenants/usage-reader.ts';
import { asDocument, sendOutcome } from '../answer.ts';
import type { AdminApp } from '../answer.ts';
import { actorOf, authorOf } from '../authenticate.ts';
import { requestOperations } from './operations.ts';

export interface LimitRequestOptions {
  readonly directory: Pick<TenantDirectory, 'all'>;
  readonly records: TenantRecords;
  readonly usage: UsageReader;
  readonly policy: () => Policy;
  readonly clock: Clock;
}

const base = '/admin/v1/tenants/:id/requests/:requestId';

/** Lists the requests of tenants for higher limits, and answers them. */
export function registerLimitRequests(app: AdminApp, options: LimitRequestOptions): void {
  const { directory, records, usage, policy, clock } = options;
  app.get('/admin/v1/requests', { schema: requestOperations.list }, (request) => {
    const { state, tenant_id: tenantId, limit = 100 } = request.query;
    const found = listRequests(directory.all(), { state: state as LimitRequestState | undefined, tenantId });
    return {
      requests: found.slice(0, limit),
      open: openRequestCount(directory.all()),
      more: found.length > limit,
    };
  });
  app.post(
    `${base}/approve`,
    { config: asDocument, schema: requestOperations.approve },
    async (request, reply) => {
      const { id, requestId } = request.params;
      const actor = actorOf(request);
      const role = request.operator?.role ?? 'viewer';
      const nowMs = clock.now();
      // Without the plan, it would be unknown whether the granted value raises the limit or lowers it.
      const seenPlan = records.of(id).plan === undefined ? await usage.seenPlan(id, nowMs) : null;
      const context = { policy: policy(), seenPlan, planKnown: true, nowMs };
      const outcome = await records.change(id, authorOf(request), (record) =>
        withInternalNote(
          approveRequest(record, requestId, { ...request.body, actor, role }, context),
          request.body?.internal_note,
        ),
      );
      return sendAnswered(reply, requestId, outcome);
    },
  );
  app.post(
    `${base}/decline`,
    { config: asDocument, schema: requestOperations.decline },
    async (request, reply) => {
      const { id, requestId } = request.params;
      const decline = { answer: request.body.answer, actor: actorOf(request) };
      const outcome = await records.change(id, authorOf(request), (record) =>
        withInternalNote(declineRequest(record, requestId, decline, clock.now()), request.body.internal_note),
      );
      return sendAnswered(reply, requestId, outcome);
    },
  );
}

function sendAnswered(reply: FastifyReply, requestId: string, outcome: Outcome<TenantRecord>): FastifyReply {
  if (!outcome.ok) return sendOutcome(reply, outcome);
  return reply.send(outcome.value.limit_requests?.find(({ id }) => id === requestId));
}
