import type { ClickHouse } from '../client.ts';

/** The key of an event in `stored_events`, without its time. */
export interface IdentityKey {
  readonly tenantId: string;
  readonly idA: number;
  readonly idB: string;
}

export interface StoredIdentityRow extends IdentityKey {
  readonly timeMs: number;
  /** Highest revision of the event's rows: 0 without a correction, otherwise the Kafka offset of the last correction plus 1. */
  readonly revision: number;
}

/** Largest number of keys in one query. Keys are part of the URL, whose length is limited. */
const keysPerQuery = 300;

/** Returns the times and revisions of the stored events with these keys, between two times. */
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

/** Returns the first Kafka position (`partition:offset`) of each external id, by `externalKey`. */
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
