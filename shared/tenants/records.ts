import { Counter } from 'prom-client';
import { problemOfTenantId } from '../domain/identity.ts';
import { historyEntriesMax } from '../domain/tenant.ts';
import type { RecordChange, TenantRecord } from '../domain/tenant.ts';
import type { TenantDirectory } from '../kafka/tables/tenant-directory.ts';
import type { Clock } from '../runtime/time/clock.ts';
import type { Logger } from '../runtime/logger.ts';
import type { Registry } from '../runtime/http/ops.ts';
import { contractRejection, rejection, success } from './outcome.ts';
import type { Outcome } from './outcome.ts';
import { violationsOfRecord } from './record/violations.ts';
import { startAtZero } from '../runtime/zero-counters.ts';

/** Result of an edit: the new record, and the entry for its history. */
export interface Edit {
  readonly record: TenantRecord;
  /** A verb from a fixed set, because it is the label of a metric. */
  readonly action: string;
  readonly detail: string;
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
  change(tenantId: string, actor: string, edit: Editor): Promise<Outcome<TenantRecord>>;
  /** False if the tenant had no record. */
  remove(tenantId: string, actor: string): Promise<Outcome<boolean>>;
}

export interface TenantRecordsOptions {
  readonly directory: TenantDirectory;
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
  ...['boost', 'boost-end', 'api-key', 'api-key-roll', 'api-key-delete', 'notifications'],
  ...['limit-request', 'limit-request-withdraw', 'limit-request-approve', 'limit-request-decline'],
];

export function createTenantRecords({
  directory,
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
    change: (tenantId, actor, edit) => inOrder(tenantId, () => change(tenantId, actor, edit)),
    remove: (tenantId, actor) => inOrder(tenantId, () => remove(tenantId, actor)),
  };

  function of(tenantId: string): TenantRecord {
    return directory.get(tenantId) ?? { tenant_id: tenantId, updated_at: '', updated_by: '' };
  }

  async function change(tenantId: string, actor: string, edit: Editor): Promise<Outcome<TenantRecord>> {
    const wrongId = problemOfTenantId(tenantId);
    if (wrongId !== null) return rejection(422, 'No such tenant', `The tenant id ${wrongId}.`);
    if (!directory.ready()) return notRead;
    const outcome = edit(of(tenantId));
    if (!outcome.ok) return outcome;
    const { record, action } = outcome.value;
    const detail = outcome.value.detail.slice(0, detailLengthMax);
    const at = new Date(clock.now()).toISOString();
    const changed: TenantRecord = {
      ...record,
      history: [{ at, actor, action, detail }, ...(record.history ?? [])].slice(0, historyEntriesMax),
      updated_at: at,
      updated_by: actor,
    };
    // The record is checked after every edit, so that only valid records are written to the topic.
    const violations = violationsOfRecord(changed);
    if (violations.length > 0) return contractRejection(violations, 'Record not written');
    const stored = await directory.put(changed);
    logChange(tenantId, actor, action, detail);
    return success(stored);
  }

  async function remove(tenantId: string, actor: string): Promise<Outcome<boolean>> {
    if (!directory.ready()) return notRead;
    const record = directory.get(tenantId);
    if (record === undefined) return success(false);
    await directory.remove(tenantId);
    const before = JSON.stringify({ ...record, history: undefined });
    logChange(tenantId, actor, 'delete', `Record deleted; it was ${before}`);
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

export interface TenantChange extends RecordChange {
  readonly tenant_id: string;
}

export interface ChangeFilter {
  readonly tenantId?: string | undefined;
  readonly actor?: string | undefined;
}

/** Audit trail: the entries of all records' histories, newest first. */
export function recentChanges(
  records: readonly TenantRecord[],
  filter: ChangeFilter,
): readonly TenantChange[] {
  return records
    .filter((record) => filter.tenantId === undefined || record.tenant_id === filter.tenantId)
    .flatMap((record) => (record.history ?? []).map((change) => ({ tenant_id: record.tenant_id, ...change })))
    .filter((change) => filter.actor === undefined || change.actor === filter.actor)
    .toSorted((a, b) => b.at.localeCompare(a.at));
}
