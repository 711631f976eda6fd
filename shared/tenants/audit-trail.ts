import { auditEntries } from '../clickhouse/queries/audit-entries.ts';
import type { AuditFilter, AuditPlace } from '../clickhouse/queries/audit-entries.ts';
import type { ClickHouseReader } from '../clickhouse/client.ts';
import type { TenantRecord } from '../domain/tenant.ts';
import type { AuditEntry } from '../domain/topics/audit-entry.ts';
import type { TenantDirectory } from '../kafka/tables/tenant-directory.ts';
import type { StoreReads } from '../runtime/store-reads.ts';
import { entryId } from './record/audited-change.ts';

export interface AuditPage {
  /** Newest first. */
  readonly entries: readonly AuditEntry[];
  /** Text that selects the entries after this page; null: there are none. */
  readonly nextCursor: string | null;
  /** False: ClickHouse did not answer, so only the latest changes of tenants that have a record are listed. */
  readonly complete: boolean;
}

/** The audit trail, without end. */
export interface AuditTrail {
  read(filter: Omit<AuditFilter, 'before'>, limit: number, cursor?: string): Promise<AuditPage>;
}

export interface AuditTrailOptions {
  readonly clickhouse: ClickHouseReader;
  readonly directory: Pick<TenantDirectory, 'all' | 'get'>;
  readonly reads: StoreReads;
}

/**
 * Reads the trail from ClickHouse, and adds the entries of the records' histories, which this process has in memory. So a
 * change is in the list at once, before the aggregator has stored it, and the list of changes is not empty while ClickHouse
 * is unavailable. An entry that both have is listed once, as ClickHouse has it.
 */
export function createAuditTrail({ clickhouse, directory, reads }: AuditTrailOptions): AuditTrail {
  return {
    async read(filter, limit, cursor) {
      const before = cursor === undefined ? undefined : placeOf(cursor);
      if (before === null) return { entries: [], nextCursor: null, complete: true };
      const stored = await reads.orNull(auditEntries(clickhouse, { ...filter, before }, limit + 1));
      const { tenantId } = filter;
      const one = tenantId === undefined ? undefined : directory.get(tenantId);
      const records = tenantId === undefined ? [...directory.all()] : one === undefined ? [] : [one];
      const recent = records.flatMap(historyOf).filter((entry) => fits(entry, { ...filter, before }));
      const all = new Map([...recent, ...(stored ?? [])].map((entry) => [entry.id, entry]));
      const ordered = [...all.values()].toSorted((a, b) => comparePlaces(b, a));
      const entries = ordered.slice(0, limit);
      const last = entries.at(-1);
      return {
        entries,
        nextCursor: last === undefined || ordered.length <= limit ? null : cursorOf(last),
        complete: stored !== null,
      };
    },
  };
}

function historyOf({ tenant_id: tenantId, history = [] }: TenantRecord): readonly AuditEntry[] {
  return history.map((change) => ({
    ...{ id: entryId(tenantId, change), tenant_id: tenantId, source: '', reason: '' },
    ...change,
  }));
}

function fits(entry: AuditEntry, filter: AuditFilter): boolean {
  const { actor, action, search, sinceMs = -Infinity, untilMs = Infinity, before } = filter;
  const atMs = Date.parse(entry.at);
  const texts = [entry.tenant_id, entry.actor, entry.action, entry.detail, entry.reason];
  return (
    (actor === undefined || entry.actor === actor) &&
    (action === undefined || entry.action === action) &&
    (search === undefined || texts.join('\n').toLowerCase().includes(search.toLowerCase())) &&
    atMs >= sinceMs &&
    atMs < untilMs &&
    (before === undefined ||
      comparePlaces(entry, { at: new Date(before.atMs).toISOString(), id: before.id }) < 0)
  );
}

type Placed = Pick<AuditEntry, 'at' | 'id'>;

function comparePlaces(a: Placed, b: Placed): number {
  return Date.parse(a.at) - Date.parse(b.at) || (a.id < b.id ? -1 : a.id === b.id ? 0 : 1);
}

function cursorOf({ at, id }: Placed): string {
  return `${Date.parse(at)}.${id}`;
}

function placeOf(cursor: string): AuditPlace | null {
  const [, at = '', id = ''] = /^(\d{1,13})\.([\w-]{1,64})$/.exec(cursor) ?? [];
  return at === '' ? null : { atMs: Number(at), id };
}
