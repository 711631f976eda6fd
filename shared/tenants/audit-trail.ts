import { auditEntries } from '../clickhouse/queries/audit-entries.ts';
import type { AuditFilter, AuditPlace } from '../clickhouse/queries/audit-entries.ts';
import type { ClickHouseReader } from '../clickhouse/client.ts';
import type { RecordChange, TenantRecord } from '../domain/tenant.ts';
import type { AuditEntry } from '../domain/topics/audit-entry.ts';
import type { TenantDirectory } from '../kafka/tables/tenant-directory.ts';
import type { StoreReads } from '../runtime/store-reads.ts';
import { auditedPart, entryId } from './record/audited-change.ts';

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
      const recent = recentEntries(records, { ...filter, before }, limit + 1);
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

/** By entry of a record's history: its id, which takes longer to compute than all filters together. */
const ids = new WeakMap<RecordChange, string>();

function idOf(tenantId: string, change: RecordChange): string {
  const id = ids.get(change) ?? entryId(tenantId, change);
  ids.set(change, id);
  return id;
}

/**
 * The newest `count` entries of the histories that fit the filter, and others of the same millisecond as the last one. Ids
 * are computed of these entries only, because all histories together can have hundreds of thousands of entries.
 */
function recentEntries(
  records: readonly TenantRecord[],
  filter: AuditFilter,
  count: number,
): readonly AuditEntry[] {
  const { before } = filter;
  const beforeMs = before?.atMs ?? Infinity;
  const fitting = records.flatMap(({ tenant_id: tenantId, history = [] }) =>
    history.flatMap((change) => {
      const atMs = Date.parse(change.at);
      return atMs <= beforeMs && fits(tenantId, change, atMs, filter) ? [{ tenantId, change, atMs }] : [];
    }),
  );
  const times = Float64Array.from(fitting, ({ atMs }) => atMs).sort();
  const earlier = times.filter((atMs) => atMs < beforeMs);
  const oldestMs = earlier.at(-count) ?? -Infinity;
  return fitting
    .filter(({ atMs }) => atMs >= oldestMs)
    .map(({ tenantId, change }) => ({
      ...{ id: idOf(tenantId, change), tenant_id: tenantId, source: '' as const, reason: '' },
      ...auditedPart(change),
    }))
    .filter(
      (entry) =>
        before === undefined ||
        comparePlaces(entry, { at: new Date(before.atMs).toISOString(), id: before.id }) < 0,
    );
}

/** Whether an entry of a history fits the filter, apart from the place in the list. */
function fits(tenantId: string, change: RecordChange, atMs: number, filter: AuditFilter): boolean {
  const { actor, action, search, sinceMs = -Infinity, untilMs = Infinity } = filter;
  return (
    atMs >= sinceMs &&
    atMs < untilMs &&
    (actor === undefined || change.actor === actor) &&
    (action === undefined || change.action === action) &&
    (search === undefined ||
      [tenantId, change.actor, change.action, change.detail]
        .join('\n')
        .toLowerCase()
        .includes(search.toLowerCase()))
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
