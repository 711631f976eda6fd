import { requestEventType } from '../../domain/usage-event.ts';
import type { ClickHouseReader } from '../client.ts';
import { requestIdentity, spanOfDecisions } from './event-identity.ts';
import { uuidTimeMs } from '../../runtime/uuid-time.ts';

/** The fields of a stored request that an outcome needs. */
export interface StoredRequest {
  readonly id: string;
  readonly tenantId: string;
  readonly userId: string;
  readonly timeMs: number;
  readonly ip: string;
  readonly plan: string;
  readonly route: string;
  readonly entrypoint: string;
  readonly outcome: string;
  readonly degraded: boolean;
  /** Whether the request has a reservation, in any state. */
  readonly reserved: boolean;
  /** Units after the corrections that are stored. */
  readonly units: number;
}

export interface RequestsQuery {
  /** Null: all tenants. */
  readonly tenantId: string | null;
  /** Only requests of these entrypoints are returned. */
  readonly entrypoints: readonly string[];
  /** Unix milliseconds: ids that contain a later time are not queried, because their requests cannot exist yet. */
  readonly nowMs: number;
}

/** Longest span of one query, which reads all events between its earliest and its latest request. */
const spanMsMax = 3_600_000;

/** Returns the stored requests with these ids. Ignores ids that are not a UUIDv7 in lower case. */
export async function requestsByIds(
  clickhouse: ClickHouseReader,
  ids: readonly string[],
  { tenantId, entrypoints, nowMs }: RequestsQuery,
): Promise<StoredRequest[]> {
  const found: StoredRequest[] = [];
  for (const some of inSpans(ids, spanOfDecisions(nowMs, nowMs).to)) {
    const rows = await clickhouse.query<RequestRow>(
      `SELECT toString(tenant_id) AS tenantId, toString(user_id) AS userId,
          toUnixTimestamp64Milli(time) AS timeMs, id_skew_ms AS idSkewMs, id_a AS idA, toString(id_b) AS idB,
          any(toString(client_ip)) AS ip, any(toString(stored_events.plan)) AS plan,
          any(toString(stored_events.route)) AS route, any(toString(stored_events.entrypoint)) AS entrypoint,
          any(toString(decision)) AS outcome, any(stored_events.degraded) AS degraded,
          max(stored_events.reservation != '') AS reserved,
          argMax(toFloat64(stored_events.units), revision) AS units
      FROM stored_events
      WHERE time >= fromUnixTimestamp64Milli({from:Int64}, 'UTC') AND time <= fromUnixTimestamp64Milli({to:Int64}, 'UTC')
        AND id_b IN (${some.map(({ idB }) => String(BigInt(idB))).join(',')})
        AND type = {type:String} AND stored_events.entrypoint IN {entrypoints:Array(String)}
        ${tenantId === null ? '' : 'AND tenant_id = {tenant:String}'}
      GROUP BY tenant_id, user_id, time, id_skew_ms, id_a, id_b`,
      {
        ...spanOfDecisions(some[0]?.ms ?? 0, some.at(-1)?.ms ?? 0),
        type: requestEventType,
        entrypoints,
        ...(tenantId === null ? {} : { tenant: tenantId }),
      },
    );
    const idByKey = new Map(some.map((one) => [keyOf(one), one.id]));
    for (const { timeMs, idSkewMs, idA, idB, ...row } of rows) {
      const id = idByKey.get(keyOf({ ms: timeMs + idSkewMs, idA, idB }));
      if (id !== undefined) found.push({ ...row, reserved: row.reserved === 1, id, timeMs });
    }
  }
  return found;
}

interface RequestRow extends Omit<StoredRequest, 'id' | 'reserved'> {
  readonly reserved: 0 | 1;
  readonly idSkewMs: number;
  readonly idA: number;
  readonly idB: string;
}

interface Wanted {
  readonly id: string;
  readonly ms: number;
  readonly idA: number;
  readonly idB: string;
}

/** Groups the ids by time, so that each group spans at most `spanMsMax`. */
function* inSpans(ids: readonly string[], latestMs: number): Generator<readonly Wanted[]> {
  let some: Wanted[] = [];
  const wanted = ids.flatMap(wantedOf).filter(({ ms }) => ms <= latestMs);
  for (const one of wanted.toSorted((a, b) => a.ms - b.ms)) {
    const [first] = some;
    if (first !== undefined && one.ms - first.ms > spanMsMax) {
      yield some;
      some = [];
    }
    some.push(one);
  }
  if (some.length > 0) yield some;
}

function wantedOf(id: string): Wanted[] {
  const ms = uuidTimeMs(id);
  const identity = ms === null ? null : requestIdentity(id, ms);
  return ms === null || identity === null ? [] : [{ id, ms, idA: identity.idA, idB: identity.idB }];
}

function keyOf({ ms, idA, idB }: Omit<Wanted, 'id'>): string {
  return `${ms} ${idA} ${idB}`;
}
