import type { Policy } from '../../../shared/domain/policy.ts';
import type { TenantDirectory } from '../../../shared/kafka/tables/tenant-directory.ts';
import type { Clock } from '../../../shared/runtime/time/clock.ts';
import { setNote } from '../../../shared/tenants/internal-note.ts';
import type { TenantRecords } from '../../../shared/tenants/records.ts';
import { undoChange } from '../../../shared/tenants/undo/undo-change.ts';
import { asDocument, sendOutcome } from '../answer.ts';
import type { AdminApp } from '../answer.ts';
import { actorOf, authorOf } from '../authenticate.ts';
import { changedMeanwhile, entityTag, ifMatchHolds } from '../tenants/entity-tag.ts';
import { changeOperations } from './operations.ts';

export interface ChangeOptions {
  readonly records: TenantRecords;
  readonly directory: Pick<TenantDirectory, 'get'>;
  readonly policy: () => Policy;
  readonly clock: Clock;
}

/** Writes the note about a tenant, and undoes changes. */
export function registerChanges(app: AdminApp, { records, directory, policy, clock }: ChangeOptions): void {
  app.put(
    '/admin/v1/tenants/:id/internal-note',
    { config: asDocument, schema: changeOperations.setInternalNote },
    async (request, reply) => {
      const { id } = request.params;
      const note = { text: request.body.text, actor: actorOf(request) };
      const outcome = await records.change(id, authorOf(request), (record) =>
        ifMatchHolds(request.headers['if-match'], directory.get(id) ?? null)
          ? setNote(record, note, clock.now())
          : changedMeanwhile,
      );
      if (!outcome.ok) return sendOutcome(reply, outcome);
      void reply.header('etag', entityTag(outcome.value));
      return { tenant_id: id, internal_note: outcome.value.internal_note ?? null };
    },
  );
  app.post(
    '/admin/v1/tenants/:id/undo',
    { config: asDocument, schema: changeOperations.undoChange },
    async (request, reply) => {
      const { id } = request.params;
      const wanted = {
        changeId: request.body?.change_id ?? null,
        role: request.operator?.role ?? 'viewer',
        policy: policy(),
        nowMs: clock.now(),
      };
      const outcome = await records.change(id, authorOf(request), (record) => undoChange(record, wanted));
      if (!outcome.ok) return sendOutcome(reply, outcome);
      const [undo] = outcome.value.history ?? [];
      return { tenant_id: id, undone: undo?.undo_of ?? '', detail: undo?.detail ?? '' };
    },
  );
}
