import { Counter } from 'prom-client';
import { problemOfTenantId } from '../domain/identity.ts';
import { authorFields } from '../domain/topics/audit-entry.ts';
import type { AuditEntry, AuditSource, Author } from '../domain/topics/audit-entry.ts';
import type { RecordChange, TenantRecord } from '../domain/tenant.ts';
import type { TenantDirectory } from '../kafka/tables/tenant-directory.ts';
import type { Clock } from '../runtime/time/clock.ts';
import type { Logger } from '../runtime/logger.ts';
import type { Registry } from '../runtime/http/ops.ts';
import { contractRejection, rejection, success } from './outcome.ts';
import type { Outcome } from './outcome.ts';
import { auditedPart, changedFields, entryId } from './record/audited-change.ts';
import type { ChangedFields } from './record/audited-change.ts';
import { withoutEmptyObjects } from './record/empty-objects.ts';
import { violationsOfRecord } from './record/violations.ts';
import { trimHistory, undoFields } from './undo/stored-changes.ts';
import { startAtZero } from '../runtime/zero-counters.ts';

/** Result of an edit: the new record, and the entry for its history. */
export interface Edit {
  readonly record: TenantRecord;
  /** A verb from a fixed set, because it is the label of a metric. */
  readonly action: string;
  readonly detail: string;
  /** Why the change was made; absent: no reason was stated. */
  readonly reason?: string;
  /** Note for operators, which the tenant does not read. */
  readonly internalNote?: string;
  /** Id of the change that this one undoes. */
  readonly undoOf?: string;
}

export type Editor = (record: TenantRecord) => Outcome<Edit>;

/**
 * All changes of tenant records use this interface: it reads the record, edits it, adds an entry to its history,
 * writes it and logs the change. Within a process, changes of a tenant run one after another, so that no change is
 * lost. If two processes change a tenant at the same moment, all processes use the record with the higher version. A
 * client that must not overwrite another change sends `If-Match`.
 */
export interface TenantRecords {
  /** The stored record; a record without settings if the tenant has none. */
  of(tenantId: string): TenantRecord;
  /** The author of a change; a name alone stands for an author who uses this process (`source`). */
  change(tenantId: string, author: Author | string, edit: Editor): Promise<Outcome<TenantRecord>>;
  /** False if the tenant had no record. */
  remove(tenantId: string, author: Author | string, reason?: string): Promise<Outcome<boolean>>;
}

export interface TenantRecordsOptions {
  readonly directory: TenantDirectory;
  /** Where the changes of authors without a source came from. */
  readonly source: AuditSource;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly registry: Registry;
}

const detailLengthMax = 1_900;

/** Until this process has read the topic to its end, an edit could overwrite a stored record that it has not read. */
const notRead = rejection(
  503,
  'Tenant records are not read yet',
  'Kafka did not answer since this process started, so nothing can be changed. Try again in a moment.',
);

/** Actions of the changes that users of the API and the console make. */
const changeActions = [
  ...['put', 'patch', 'delete', 'reset', 'block', 'unblock'],
  ...['plan', 'settings', 'internal-note', 'undo'],
  ...['boost', 'boost-end', 'api-key', 'api-key-roll', 'api-key-delete', 'notifications'],
  ...['limit-request', 'limit-request-withdraw', 'limit-request-approve', 'limit-request-decline'],
];

export function createTenantRecords({
  directory,
  source,
  clock,
  logger,
  registry,
}: TenantRecordsOptions): TenantRecords {
  const lastOfTenant = new Map<string, Promise<unknown>>();
  const changes = startAtZero(
    new Counter({
      name: 'tollgate_tenant_changes_total',
      help: 'Changes of tenant records made through this process, by action.',
      labelNames: ['action'],
      registers: [registry],
    }),
    { action: changeActions },
  );

  return {
    of,
    change: (tenantId, author, edit) => inOrder(tenantId, () => change(tenantId, authorOf(author), edit)),
    remove: (tenantId, author, reason = '') =>
      inOrder(tenantId, () => remove(tenantId, authorOf(author), reason)),
  };

  function of(tenantId: string): TenantRecord {
    return directory.get(tenantId) ?? { tenant_id: tenantId, updated_at: '', updated_by: '' };
  }

  function authorOf(author: Author | string): Author {
    return { source, ...authorFields(author) };
  }

  async function change(tenantId: string, author: Author, edit: Editor): Promise<Outcome<TenantRecord>> {
    const { actor } = author;
    const wrongId = problemOfTenantId(tenantId);
    if (wrongId !== null) return rejection(422, 'No such tenant', `The tenant id ${wrongId}.`);
    if (!directory.ready()) return notRead;
    const before = of(tenantId);
    const outcome = edit(before);
    if (!outcome.ok) return outcome;
    const { action, reason = '', internalNote, undoOf } = outcome.value;
    const record = withoutEmptyObjects(outcome.value.record);
    const detail = outcome.value.detail.slice(0, detailLengthMax);
    const at = new Date(clock.now()).toISOString();
    const entry: RecordChange = {
      ...{ at, actor, action, detail },
      ...(internalNote === undefined ? {} : { internal_note: internalNote }),
      ...(undoOf === undefined ? {} : { undo_of: undoOf }),
      ...undoFields(before, record, author),
    };
    const changed: TenantRecord = {
      ...record,
      history: trimHistory([entry, ...(record.history ?? [])]),
      updated_at: at,
      updated_by: actor,
    };
    // The record is checked after every edit, so that only valid records are written to the topic.
    const violations = violationsOfRecord(changed);
    if (violations.length > 0) return contractRejection(violations, 'Record not written');
    const fields = changedFields(before, changed);
    const stored = await directory.put(changed, auditEntry(tenantId, author, entry, { reason, ...fields }));
    logChange(tenantId, actor, action, detail);
    return success(stored);
  }

  async function remove(tenantId: string, author: Author, reason: string): Promise<Outcome<boolean>> {
    if (!directory.ready()) return notRead;
    const record = directory.get(tenantId);
    if (record === undefined) return success(false);
    const { actor } = author;
    const at = new Date(clock.now()).toISOString();
    const entry: RecordChange = { at, actor, action: 'delete', detail: 'Record deleted' };
    const { before } = changedFields(record, null);
    await directory.remove(tenantId, auditEntry(tenantId, author, entry, { reason, before, after: {} }));
    logChange(tenantId, actor, 'delete', `Record deleted; it was ${JSON.stringify(before)}`);
    return success(true);
  }

  function logChange(tenantId: string, actor: string, action: string, detail: string): void {
    changes.inc({ action });
    logger.info({ audit: true, tenant_id: tenantId, actor, action, detail }, 'tenant changed');
  }

  /** Runs the work after the tenant's earlier changes have ended, whether they succeeded or failed. */
  async function inOrder<Value>(tenantId: string, work: () => Promise<Value>): Promise<Value> {
    const result = (lastOfTenant.get(tenantId) ?? Promise.resolve()).then(work, work);
    lastOfTenant.set(tenantId, result);
    try {
      return await result;
    } finally {
      if (lastOfTenant.get(tenantId) === result) lastOfTenant.delete(tenantId);
    }
  }
}

function auditEntry(
  tenantId: string,
  { source }: Author,
  change: RecordChange,
  more: Pick<AuditEntry, 'reason'> & ChangedFields,
): AuditEntry {
  return { id: entryId(tenantId, change), tenant_id: tenantId, ...auditedPart(change), source, ...more };
}
