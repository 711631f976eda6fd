import type { ConsoleParts } from '../console.ts';
import { block, unblock } from '../tenants/block.ts';
import { addBoost, endBoost, phaseOf } from '../tenants/boosts.ts';
import { tenantStatus } from '../tenants/tenant-status.ts';
import type { AdminApp } from './answer.ts';
import { asDocument, sendOutcome } from './answer.ts';
import { registerKeys } from './api-keys.ts';
import { actorOf } from './authenticate.ts';
import { operations } from './operations.ts';

/** What an operator does to one tenant: look at its status, reset, block, boost, hand out keys. */
export function registerControls(app: AdminApp, parts: ConsoleParts): void {
  registerStatus(app, parts);
  registerBlock(app, parts);
  registerBoosts(app, parts);
  registerKeys(app, parts);
}

function registerStatus(app: AdminApp, parts: ConsoleParts): void {
  app.get('/admin/v1/tenants/:id/status', { schema: operations.getTenantStatus }, async (request, reply) =>
    sendOutcome(reply, await tenantStatus(parts, request.params.id)),
  );
  app.post('/admin/v1/tenants/:id/reset', { schema: operations.resetTenant }, async (request, reply) => {
    const actor = actorOf(request.headers['x-actor']);
    const outcome = await parts.resets.tenant(request.params.id, actor, request.body?.reason ?? '');
    if (!outcome.ok) return sendOutcome(reply, outcome);
    return { tenant_id: request.params.id, reset: outcome.value.reset };
  });
}

function registerBlock(app: AdminApp, { records, clock }: ConsoleParts): void {
  app.post(
    '/admin/v1/tenants/:id/block',
    { config: asDocument, schema: operations.blockTenant },
    async (request, reply) => {
      const actor = actorOf(request.headers['x-actor']);
      const { until = null, reason } = request.body;
      const outcome = await records.change(request.params.id, actor, (record) =>
        block(record, { until, reason }, actor, clock.now()),
      );
      if (!outcome.ok) return sendOutcome(reply, outcome);
      return { tenant_id: request.params.id, block: outcome.value.block };
    },
  );
  app.delete('/admin/v1/tenants/:id/block', { schema: operations.unblockTenant }, async (request, reply) => {
    const actor = actorOf(request.headers['x-actor']);
    const outcome = await records.change(request.params.id, actor, unblock);
    return outcome.ok ? reply.code(204).send() : sendOutcome(reply, outcome);
  });
}

function registerBoosts(app: AdminApp, { records, policy, clock }: ConsoleParts): void {
  app.get('/admin/v1/tenants/:id/boosts', { schema: operations.listBoosts }, (request) => ({
    boosts: (records.of(request.params.id).boosts ?? []).map((boost) => ({
      ...boost,
      phase: phaseOf(boost, clock.now()),
    })),
  }));
  app.post(
    '/admin/v1/tenants/:id/boosts',
    { config: asDocument, schema: operations.addBoost },
    async (request, reply) => {
      const actor = actorOf(request.headers['x-actor']);
      const outcome = await records.change(request.params.id, actor, (record) =>
        addBoost(record, { ...request.body, actor: request.body.actor ?? actor }, policy(), clock.now()),
      );
      if (!outcome.ok) return sendOutcome(reply, outcome);
      return reply.code(201).send(outcome.value.boosts?.at(-1));
    },
  );
  app.delete(
    '/admin/v1/tenants/:id/boosts/:boostId',
    { schema: operations.endBoost },
    async (request, reply) => {
      const { id, boostId } = request.params;
      const outcome = await records.change(id, actorOf(request.headers['x-actor']), (record) =>
        endBoost(record, boostId, clock.now()),
      );
      return outcome.ok ? reply.code(204).send() : sendOutcome(reply, outcome);
    },
  );
}
