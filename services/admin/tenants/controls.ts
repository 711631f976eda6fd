import { boostPhase } from '../../../shared/domain/boost.ts';
import { block, unblock } from '../../../shared/tenants/block.ts';
import { addBoost, endBoost } from '../../../shared/tenants/boosts.ts';
import { withInternalNote } from '../../../shared/tenants/internal-note.ts';
import type { TenantRecords } from '../../../shared/tenants/records.ts';
import type { Resets } from '../../../shared/tenants/reset.ts';
import { tenantStatus } from '../../../shared/tenants/status.ts';
import type { StatusSources } from '../../../shared/tenants/status.ts';
import { asDocument, sendOutcome } from '../answer.ts';
import type { AdminApp } from '../answer.ts';
import { actorOf, authorOf } from '../authenticate.ts';
import { operations } from '../operations.ts';

export interface ControlOptions extends StatusSources {
  readonly records: TenantRecords;
  readonly resets: Resets;
}

/** Operations on one tenant for operators: read its status, reset its counters, block it, boost a limit. */
export function registerControls(app: AdminApp, options: ControlOptions): void {
  registerStatus(app, options);
  registerBlock(app, options);
  registerBoosts(app, options);
}

function registerStatus(app: AdminApp, options: ControlOptions): void {
  app.get('/admin/v1/tenants/:id/status', { schema: operations.getTenantStatus }, async (request, reply) =>
    sendOutcome(reply, await tenantStatus(options, request.params.id)),
  );
  app.post('/admin/v1/tenants/:id/reset', { schema: operations.resetTenant }, async (request, reply) => {
    const { id } = request.params;
    const outcome = await options.resets.tenant(id, authorOf(request), request.body?.reason ?? '');
    if (!outcome.ok) return sendOutcome(reply, outcome);
    return { tenant_id: id, reset: outcome.value.reset };
  });
}

function registerBlock(app: AdminApp, { records, clock }: ControlOptions): void {
  app.post(
    '/admin/v1/tenants/:id/block',
    { config: asDocument, schema: operations.blockTenant },
    async (request, reply) => {
      const actor = actorOf(request);
      const { until = null, reason, internal_note: note } = request.body;
      const outcome = await records.change(request.params.id, authorOf(request), (record) =>
        withInternalNote(block(record, { until, reason }, actor, clock.now()), note),
      );
      if (!outcome.ok) return sendOutcome(reply, outcome);
      return { tenant_id: request.params.id, block: outcome.value.block };
    },
  );
  app.delete('/admin/v1/tenants/:id/block', { schema: operations.unblockTenant }, async (request, reply) => {
    const outcome = await records.change(request.params.id, authorOf(request), unblock);
    return outcome.ok ? reply.code(204).send() : sendOutcome(reply, outcome);
  });
}

function registerBoosts(app: AdminApp, { records, policy, clock }: ControlOptions): void {
  app.get('/admin/v1/tenants/:id/boosts', { schema: operations.listBoosts }, (request) => ({
    boosts: (records.of(request.params.id).boosts ?? []).map((boost) => ({
      ...boost,
      phase: boostPhase(boost, clock.now()),
    })),
  }));
  app.post(
    '/admin/v1/tenants/:id/boosts',
    { config: asDocument, schema: operations.addBoost },
    async (request, reply) => {
      const actor = actorOf(request, request.body.actor);
      const outcome = await records.change(request.params.id, authorOf(request), (record) =>
        withInternalNote(
          addBoost(record, { ...request.body, actor }, policy(), clock.now()),
          request.body.internal_note,
        ),
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
      const outcome = await records.change(id, authorOf(request), (record) =>
        endBoost(record, boostId, clock.now()),
      );
      return outcome.ok ? reply.code(204).send() : sendOutcome(reply, outcome);
    },
  );
}
