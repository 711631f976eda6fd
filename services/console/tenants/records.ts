import { Counter } from 'prom-client';
import { problemOfTenantId } from '../../../shared/domain/identity.ts';
import { historyEntriesMax } from '../../../shared/domain/tenant.ts';
import type { TenantRecord } from '../../../shared/domain/tenant.ts';
import type { TenantDirectory } from '../../../shared/kafka/tables/tenant-directory.ts';
import type { Clock } from '../../../shared/runtime/time/clock.ts';
import type { Logger } from '../../../shared/runtime/logger.ts';
import type { Registry } from '../../../shared/runtime/http/ops.ts';
import { faultsInRecord } from '../../../shared/tenants/record-faults.ts';
import { done, refused, refusedFor } from '../problem.ts';
import type { Outcome } from '../problem.ts';

/** What an edit answers: the record as it shall be, and what the trail says about it. */
export interface Edit {
  readonly record: TenantRecord;
  /** One verb, bounded: it is a metric's label. */
  readonly action: string;
  readonly detail: string;
}

export type Editor = (record: TenantRecord) => Outcome<Edit>;

const detailLengthMax = 1_900;

/** Until the topic was read to its end, an edit could overwrite a record that is there and not yet known here. */
const notRead = refused(
  503,
  'Tenant records are not read yet',
  'Kafka did not answer since the console started, so nothing can be changed. Try again in a moment.',
);

/**
 * The one way by which the console changes a tenant's record: read, edit, add to its history, write, log.
 *
 * Changes of one tenant wait for one another within this process, so that two operators' changes both stay. Between
 * two console processes the record with the higher version wins, in every process the same; callers who care send
 * `If-Match`.
 */
export interface TenantRecords {
  /** The record, or an empty one for a tenant that has none. */
  of(tenantId: string): TenantRecord;
  change(tenantId: string, actor: string, edit: Editor): Promise<Outcome<TenantRecord>>;
  /** False when there was none. */
  remove(tenantId: string, actor: string): Promise<Outcome<boolean>>;
}

export interface TenantRecordsOptions {
  readonly directory: TenantDirectory;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly registry: Registry;
}

export function createTenantRecords({
  directory,
  clock,
  logger,
  registry,
}: TenantRecordsOptions): TenantRecords {
  const waiting = new Map<string, Promise<unknown>>();
  const changes = new Counter({
    name: 'tollgate_admin_changes_total',
    help: 'Changes of tenant records made through the console, by action.',
    labelNames: ['action'],
    registers: [registry],
  });

  return {
    of,
    change: (tenantId, actor, edit) => inTurn(tenantId, () => change(tenantId, actor, edit)),
    remove: (tenantId, actor) => inTurn(tenantId, () => remove(tenantId, actor)),
  };

  function of(tenantId: string): TenantRecord {
    return directory.get(tenantId) ?? { tenant_id: tenantId, updated_at: '', updated_by: '' };
  }

  async function change(tenantId: string, actor: string, edit: Editor): Promise<Outcome<TenantRecord>> {
    const wrongId = problemOfTenantId(tenantId);
    if (wrongId !== null) return refused(422, 'No such tenant', `The tenant id ${wrongId}.`);
    if (!directory.ready()) return notRead;
    const outcome = edit(of(tenantId));
    if (!outcome.ok) return outcome;
    const { record, action } = outcome.value;
    const detail = outcome.value.detail.slice(0, detailLengthMax);
    const at = new Date(clock.now()).toISOString();
    const written: TenantRecord = {
      ...record,
      history: [{ at, actor, action, detail }, ...(record.history ?? [])].slice(0, historyEntriesMax),
      updated_at: at,
      updated_by: actor,
    };
    // Whatever an edit makes, only a record goes to the topic.
    const faults = faultsInRecord(written);
    if (faults.length > 0) return refusedFor(faults, 'Record not written');
    const stored = await directory.put(written);
    audit(tenantId, actor, action, detail);
    return done(stored);
  }

  async function remove(tenantId: string, actor: string): Promise<Outcome<boolean>> {
    if (!directory.ready()) return notRead;
    const record = directory.get(tenantId);
    if (record === undefined) return done(false);
    await directory.remove(tenantId);
    audit(
      tenantId,
      actor,
      'delete',
      `Record deleted; it was ${JSON.stringify({ ...record, history: undefined })}`,
    );
    return done(true);
  }

  function audit(tenantId: string, actor: string, action: string, detail: string): void {
    changes.inc({ action });
    logger.info({ audit: true, tenant_id: tenantId, actor, action, detail }, 'tenant changed');
  }

  async function inTurn<Value>(tenantId: string, work: () => Promise<Value>): Promise<Value> {
    const turn = (waiting.get(tenantId) ?? Promise.resolve()).then(work, work);
    waiting.set(tenantId, turn);
    try {
      return await turn;
    } finally {
      if (waiting.get(tenantId) === turn) waiting.delete(tenantId);
    }
  }
}
