import { createHash } from 'node:crypto';
import type { TenantRecord } from '../../../shared/domain/tenant.ts';
import type { Static } from 'typebox';
import type { ConsoleParts } from '../console.ts';
import { done, refused } from '../problem.ts';
import type { Outcome } from '../problem.ts';
import { todaysUse } from '../tenants/todays-use.ts';
import { listTenants } from '../tenants/list.ts';
import { limitsOfTenant } from '../tenants/limits.ts';
import { mistakesInRecord } from '../tenants/validate.ts';
import type { AdminApp } from './answer.ts';
import { sendOutcome, sendProblem } from './answer.ts';
import { actorOf } from './authenticate.ts';
import { ListQuery, TenantBody, TenantParams } from './schemas.ts';

/** List, read, write and delete tenants. */
export function registerTenants(app: AdminApp, parts: ConsoleParts): void {
  const { directory, records, policy, clock, usage } = parts;

  app.get(
    '/admin/v1/tenants',
    { schema: { querystring: ListQuery, summary: 'List tenants' } },
    async (request) => {
      const { search = '', plan = '', offset, limit } = request.query;
      const use = await todaysUse(parts);
      const all = listTenants([...directory.all()], use, policy(), { search, plan }, clock.now());
      return {
        tenants: all.slice(offset, offset + limit),
        total: all.length,
        offset,
        limit,
        /** Without it the list lacks tenants that have no record, and their usage. */
        usage_known: use !== null,
      };
    },
  );

  app.get(
    '/admin/v1/tenants/:id',
    { schema: { params: TenantParams, summary: 'A tenant' } },
    async (request, reply) => {
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
      void reply.header('etag', etagOf(record));
      return {
        tenant_id: id,
        record,
        seen_plan: seenPlan,
        ...effective(parts, record, seenPlan),
      };
    },
  );

  app.put(
    '/admin/v1/tenants/:id',
    { schema: { params: TenantParams, body: TenantBody, summary: 'Write a tenant' } },
    async (request, reply) => {
      const { id } = request.params;
      const expected = request.headers['if-match'];
      const outcome = await records.change(id, actorOf(request.headers['x-actor']), (before) =>
        replaced(id, before, request.body, expected, parts),
      );
      if (outcome.ok) void reply.header('etag', etagOf(outcome.value));
      return sendOutcome(reply, outcome);
    },
  );

  app.delete(
    '/admin/v1/tenants/:id',
    { schema: { params: TenantParams, summary: "Delete a tenant's record" } },
    async (request, reply) => {
      const removed = await records.remove(request.params.id, actorOf(request.headers['x-actor']));
      if (!removed.ok) return sendOutcome(reply, removed);
      if (!removed.value)
        return sendProblem(reply, 404, 'No such record', 'This tenant has no record to delete.');
      return reply.code(204).send();
    },
  );
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

function replaced(
  id: string,
  before: TenantRecord,
  body: Static<typeof TenantBody>,
  expected: string | undefined,
  parts: ConsoleParts,
): Outcome<{ record: TenantRecord; action: string; detail: string }> {
  const existing = parts.directory.get(id) ?? null;
  if (expected !== undefined && expected !== etagOf(existing))
    return refused(
      412,
      'Changed meanwhile',
      'Somebody changed this record since you read it; read it again.',
    );
  if (body.tenant_id !== undefined && body.tenant_id !== id)
    return refused(422, 'Two tenants', `The body says “${body.tenant_id}”, the path “${id}”.`);
  const record = {
    ...keptOf(before),
    ...givenIn(body),
    tenant_id: id,
    updated_at: before.updated_at,
    updated_by: before.updated_by,
  } as TenantRecord;
  const mistakes = mistakesInRecord(record, parts.policy());
  if (mistakes.length > 0) return refused(422, 'Record not written', mistakes.join(' '));
  return done({ record, action: 'put', detail: difference(before, record) });
}

/** The caller's part of a body; the rest is the server's own. */
function givenIn(body: Static<typeof TenantBody>): object {
  const own = new Set(['reset', 'history', 'updated_at', 'updated_by']);
  return Object.fromEntries(Object.entries(body).filter(([name]) => !own.has(name)));
}

/** What a PUT without these fields leaves as it is. */
function keptOf(record: TenantRecord): Partial<TenantRecord> {
  const kept = ['boosts', 'block', 'api_keys_sha256', 'reset', 'history'] as const;
  return Object.fromEntries(
    kept.flatMap((name) => (record[name] === undefined ? [] : [[name, record[name]]])),
  );
}

const told = ['plan', 'display_name', 'overrides', 'time_zone'] as const;

/** What changed, for the history: values of short fields, names of the others. */
function difference(before: TenantRecord, after: TenantRecord): string {
  const text = (value: unknown): string => (value === undefined ? 'none' : JSON.stringify(value));
  const values = told
    .filter((name) => text(before[name]) !== text(after[name]))
    .map((name) => `${name}: ${text(before[name])} → ${text(after[name])}`);
  const others = (['notifications', 'boosts', 'block', 'api_keys_sha256'] as const)
    .filter((name) => text(before[name]) !== text(after[name]))
    .map((name) => `${name} changed`);
  return [...values, ...others].join('; ') || 'Written without a change';
}

function etagOf(record: TenantRecord | null): string {
  return `"${createHash('sha256').update(JSON.stringify(record)).digest('hex').slice(0, 16)}"`;
}
