import type { AuditEntry } from '../../domain/topics/audit-entry.ts';
import type { ClickHouseReader } from '../client.ts';

/** Selects entries of the audit trail. Absent fields select everything. */
export interface AuditFilter {
  readonly tenantId?: string | undefined;
  readonly actor?: string | undefined;
  readonly action?: string | undefined;
  /** Part of the tenant, the actor, the action, the text or the reason; lower and upper case are equal. */
  readonly search?: string | undefined;
  readonly sinceMs?: number | undefined;
  readonly untilMs?: number | undefined;
  /** Only entries before this one in the order of the list. */
  readonly before?: AuditPlace | undefined;
}

/** Place of an entry in the list, which is ordered by time and id, newest first. */
export interface AuditPlace {
  readonly atMs: number;
  readonly id: string;
}

interface Row extends Omit<AuditEntry, 'before' | 'after' | 'facts'> {
  readonly before: string;
  readonly after: string;
  readonly facts: Readonly<Record<string, string>>;
}

/** Entries of the audit trail, newest first. */
export async function auditEntries(
  clickhouse: ClickHouseReader,
  filter: AuditFilter,
  limit: number,
): Promise<readonly AuditEntry[]> {
  const { tenantId, actor, action, search, sinceMs, untilMs, before } = filter;
  const conditions = [
    ...(tenantId === undefined ? [] : ['tenant_id = {tenantId:String}']),
    ...(actor === undefined ? [] : ['actor = {actor:String}']),
    ...(action === undefined ? [] : ['action = {action:String}']),
    ...(search === undefined
      ? []
      : [
          `positionCaseInsensitiveUTF8(concat(tenant_id, '\\n', actor, '\\n', action, '\\n', detail, '\\n', reason), {search:String}) > 0`,
        ]),
    ...(sinceMs === undefined ? [] : ['time >= fromUnixTimestamp64Milli({sinceMs:Int64})']),
    ...(untilMs === undefined ? [] : ['time < fromUnixTimestamp64Milli({untilMs:Int64})']),
    ...(before === undefined
      ? []
      : [`(time, id) < (fromUnixTimestamp64Milli({placeMs:Int64}, 'UTC'), {placeId:String})`]),
  ];
  const rows = await clickhouse.query<Row>(
    `SELECT time AS at, id, tenant_id, actor, source, action, detail, reason, before, after, facts
     FROM audit WHERE ${conditions.length === 0 ? '1' : conditions.join(' AND ')}
     ORDER BY time DESC, id DESC LIMIT {limit:UInt32}`,
    {
      ...{ limit, tenantId: tenantId ?? '', actor: actor ?? '', action: action ?? '', search: search ?? '' },
      ...{
        sinceMs: sinceMs ?? 0,
        untilMs: untilMs ?? 0,
        placeMs: before?.atMs ?? 0,
        placeId: before?.id ?? '',
      },
    },
  );
  return rows.map(({ before: was, after: is, facts, ...texts }) => ({
    ...texts,
    ...(was === '' ? {} : { before: JSON.parse(was) as Readonly<Record<string, unknown>> }),
    ...(is === '' ? {} : { after: JSON.parse(is) as Readonly<Record<string, unknown>> }),
    facts,
  }));
}
