import type { ClickHouse } from '../client.ts';

/** What an event is known by in the stored table. */
export interface IdentityKey {
  readonly tenantId: string;
  readonly idA: number;
  readonly idB: string;
}

export interface StoredIdentityRow extends IdentityKey {
  readonly timeMs: number;
  /** The highest of its copies: 0 as first sent, a correction's offset plus one. */
  readonly revision: number;
}

/** Names that stand in the URL are kept few. */
const keysPerQuery = 300;

/** Which of these identities have a row between two instants, at which time and how often corrected. */
export async function storedIdentities(
  clickhouse: ClickHouse,
  keys: readonly IdentityKey[],
  { fromMs, toMs }: { readonly fromMs: number; readonly toMs: number },
): Promise<StoredIdentityRow[]> {
  const found: StoredIdentityRow[] = [];
  for (let start = 0; start < keys.length; start += keysPerQuery) {
    const some = keys.slice(start, start + keysPerQuery);
    found.push(
      ...(await clickhouse.query<StoredIdentityRow>(
        `SELECT toUnixTimestamp64Milli(time) AS timeMs, tenant_id AS tenantId, id_a AS idA, toString(id_b) AS idB,
            max(revision) AS revision
        FROM stored_events
        WHERE time >= fromUnixTimestamp64Milli({from:Int64}, 'UTC') AND time <= fromUnixTimestamp64Milli({to:Int64}, 'UTC')
          AND tenant_id IN {tenants:Array(String)} AND id_a IN {idAs:Array(UInt16)} AND id_b IN {idBs:Array(UInt64)}
        GROUP BY ALL`,
        {
          from: fromMs,
          to: toMs,
          tenants: [...new Set(some.map(({ tenantId }) => tenantId))],
          idAs: [...new Set(some.map(({ idA }) => idA))],
          idBs: some.map(({ idB }) => BigInt(idB)),
        },
      )),
    );
  }
  return found;
}

/** Where each id of an API server was first seen, as `partition:offset`, by `externalKey`. Keys are UUIDs. */
export async function firstPlaces(
  clickhouse: ClickHouse,
  keys: readonly string[],
): Promise<ReadonlyMap<string, string>> {
  const places = new Map<string, string>();
  for (let start = 0; start < keys.length; start += keysPerQuery) {
    const rows = await clickhouse.query<{ key: string; place: string }>(
      `SELECT toString(id) AS key, concat(toString(kafka_partition), ':', toString(kafka_offset)) AS place
      FROM stored_ids WHERE id IN {ids:Array(UUID)}`,
      { ids: keys.slice(start, start + keysPerQuery) },
    );
    for (const { key, place } of rows) places.set(key, place);
  }
  return places;
}
