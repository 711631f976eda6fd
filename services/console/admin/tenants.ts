import { jsonMoney } from '../../../shared/domain/money.ts';
import type { TenantRecord } from '../../../shared/domain/tenant.ts';
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { ConsoleParts } from '../console.ts';
import { refused } from '../problem.ts';
import { todaysUse } from '../tenants/todays-use.ts';
import { listTenants } from '../tenants/list.ts';
import type { ListedTenant } from '../tenants/list.ts';
import { limitsOfTenant } from '../tenants/limits.ts';
import { patchSettings, replaceSettings } from '../tenants/settings.ts';
import type { AdminApp } from './answer.ts';
import { asDocument, sendOutcome, sendProblem } from './answer.ts';
import { actorOf } from './authenticate.ts';
import { entityTag, ifMatchHolds } from './entity-tag.ts';
import { operations } from './operations.ts';

/** List, read, write and delete tenants. */
export function registerTenants(app: AdminApp, parts: ConsoleParts): void {
  const { directory, records, policy, clock, usage } = parts;

  app.get('/admin/v1/tenants', { schema: operations.listTenants }, async (request) => {
    const { search = '', plan = '', offset = 0, limit = 50 } = request.query;
    const use = await todaysUse(parts);
    const all = listTenants([...directory.all()], use, policy(), { search, plan }, clock.now());
    return {
      tenants: all.slice(offset, offset + limit).map(jsonTenant),
      total: all.length,
      offset,
      limit,
      /** Without it the list lacks tenants that have no record, and their usage. */
      usage_known: use !== null,
    };
  });

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
      record,
      seen_plan: seenPlan,
      ...effective(parts, record, seenPlan),
    };
  });

  app.put(
    '/admin/v1/tenants/:id',
    { config: asDocument, schema: operations.replaceTenant },
    (request, reply) => write(request, reply, replaceSettings, parts),
  );

  app.patch(
    '/admin/v1/tenants/:id',
    { config: asDocument, schema: operations.patchTenant },
    (request, reply) => write(request, reply, patchSettings, parts),
  );

  app.delete('/admin/v1/tenants/:id', { schema: operations.deleteTenant }, async (request, reply) => {
    const removed = await records.remove(request.params.id, actorOf(request.headers['x-actor']));
    if (!removed.ok) return sendOutcome(reply, removed);
    if (!removed.value)
      return sendProblem(reply, 404, 'No such record', 'This tenant has no record to delete.');
    return reply.code(204).send();
  });
}

/** `JSON.stringify` knows no bigint. */
function jsonTenant(tenant: ListedTenant): object {
  const { cost_today: cost } = tenant;
  return { ...tenant, cost_today: cost === null ? null : jsonMoney(cost) };
}

function effective(parts: ConsoleParts, record: TenantRecord | null, seenPlan: string | null): object {
  const held = limitsOfTenant(parts.policy(), record, seenPlan, parts.clock.now());
  return {
    plan: held.plan,
    limits: [...held.shared, ...held.apart].map(({ limit, ofPolicy, override, boost }) => ({
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

/** Writes what an edit makes of the record, unless somebody changed it since the caller read it (If-Match). */
async function write(
  request: FastifyRequest,
  reply: FastifyReply,
  edit: typeof replaceSettings,
  { records, directory, policy }: ConsoleParts,
): Promise<FastifyReply> {
  const { id } = request.params as { id: string };
  const outcome = await records.change(id, actorOf(request.headers['x-actor']), (before) =>
    ifMatchHolds(request.headers['if-match'], directory.get(id) ?? null)
      ? edit(before, request.body as Readonly<Record<string, unknown>>, policy())
      : changedMeanwhile,
  );
  if (outcome.ok) void reply.header('etag', entityTag(outcome.value));
  return sendOutcome(reply, outcome);
}

const changedMeanwhile = refused(
  412,
  'Changed meanwhile',
  'Somebody changed this record since you read it; read it again.',
);
