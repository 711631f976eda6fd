import type { FastifyReply, FastifyRequest } from 'fastify';
import { hasRole } from '../../../shared/domain/operators/operator.ts';
import type { TenantRecord } from '../../../shared/domain/tenant.ts';
import { sendProblem } from '../../../shared/runtime/http/problem.ts';
import { limitsOfTenant } from '../../../shared/tenants/limits.ts';
import { maskSecrets } from '../../../shared/tenants/record/audited-change.ts';
import type { TenantRecords } from '../../../shared/tenants/records.ts';
import { patchSettings, replaceSettings } from '../../../shared/tenants/settings.ts';
import { asDocument, sendOutcome } from '../answer.ts';
import type { AdminApp } from '../answer.ts';
import { authorOf } from '../authenticate.ts';
import { operations } from '../operations.ts';
import { changedMeanwhile, entityTag, ifMatchHolds } from './entity-tag.ts';
import { registerTenantList } from './tenant-list.ts';
import type { TenantListSources } from '../../../shared/tenants/list/choose.ts';

export interface TenantOptions extends TenantListSources {
  readonly records: TenantRecords;
}

/** Lists, reads, writes and deletes tenants. */
export function registerTenants(app: AdminApp, options: TenantOptions): void {
  const { directory, records, clock, usage } = options;

  registerTenantList(app, options);

  app.get('/admin/v1/tenants/:id', { schema: operations.getTenant }, async (request, reply) => {
    const { id } = request.params;
    const record = directory.get(id) ?? null;
    const seenPlan = record === null ? await usage.seenPlan(id, clock.now()) : null;
    if (record === null && seenPlan === null)
      return sendProblem(
        reply,
        404,
        'No such tenant',
        'It has no record, and no usage was ever recorded for it.',
      );
    void reply.header('etag', entityTag(record));
    return {
      tenant_id: id,
      record: record === null || mayReadSecrets(request) ? record : maskSecrets(record),
      seen_plan: seenPlan,
      ...effective(options, record, seenPlan),
    };
  });

  app.put(
    '/admin/v1/tenants/:id',
    { config: asDocument, schema: operations.replaceTenant },
    (request, reply) => write(request, reply, replaceSettings, options),
  );

  app.patch(
    '/admin/v1/tenants/:id',
    { config: asDocument, schema: operations.patchTenant },
    (request, reply) => write(request, reply, patchSettings, options),
  );

  app.delete('/admin/v1/tenants/:id', { schema: operations.deleteTenant }, async (request, reply) => {
    const removed = await records.remove(request.params.id, authorOf(request));
    if (!removed.ok) return sendOutcome(reply, removed);
    if (!removed.value)
      return sendProblem(reply, 404, 'No such record', 'This tenant has no record to delete.');
    return reply.code(204).send();
  });
}

/** Only operators who may replace a record read its webhook secrets and Slack addresses. */
function mayReadSecrets({ operator }: FastifyRequest): boolean {
  return operator !== null && hasRole(operator.role, 'admin');
}

/** The tenant's plan, and its limits after overrides and boosts. */
function effective(
  { policy, clock }: Pick<TenantOptions, 'policy' | 'clock'>,
  record: TenantRecord | null,
  seenPlan: string | null,
): object {
  const { plan, shared, individual, concurrent } = limitsOfTenant(policy(), record, seenPlan, clock.now());
  return {
    plan,
    limits: [...shared, ...individual, ...concurrent].map(({ limit, ofPolicy, override, boost }) => ({
      name: limit.name,
      per: limit.per,
      route: limit.route,
      type: limit.type,
      limit: limit.limit,
      window_seconds: limit.windowMs / 1000,
      burst: limit.burst,
      mode: limit.mode,
      of_policy: ofPolicy,
      override,
      boost_id: boost?.id ?? null,
    })),
  };
}

/**
 * Writes the edited record. Rejects the change if another client has changed the record since this client read it
 * (If-Match).
 */
async function write(
  request: FastifyRequest,
  reply: FastifyReply,
  edit: typeof replaceSettings,
  { records, directory, policy }: Pick<TenantOptions, 'records' | 'directory' | 'policy'>,
): Promise<FastifyReply> {
  const { id } = request.params as { id: string };
  const outcome = await records.change(id, authorOf(request), (before) =>
    ifMatchHolds(request.headers['if-match'], directory.get(id) ?? null)
      ? edit(before, request.body as Readonly<Record<string, unknown>>, policy())
      : changedMeanwhile,
  );
  if (outcome.ok) void reply.header('etag', entityTag(outcome.value));
  return sendOutcome(reply, outcome);
}
