import type { ClickHouse } from '../../../shared/clickhouse/client.ts';
import { deriveTotals } from '../../../shared/clickhouse/derive.ts';
import { withMoney } from '../../../shared/clickhouse/queries/period-totals.ts';
import type { MoneyAsText } from '../../../shared/clickhouse/queries/period-totals.ts';
import type { TouchedCells } from '../../../shared/clickhouse/derive.ts';
import { TollgateError, messageOf } from '../../../shared/runtime/errors.ts';
import type { Clock } from '../../../shared/runtime/time/clock.ts';
import type { StoredCorrection } from './decode.ts';
import { storedEventColumns } from './stored-event.ts';
import type { StoredEvent } from './stored-event.ts';

/** Where an id of somebody else was first seen. */
export interface Sighting {
  /** `externalKey` of the id. */
  readonly key: string;
  readonly timeMs: number;
  readonly partition: number;
  readonly offset: number;
}

export interface RefusedEvent {
  readonly event: StoredEvent;
  readonly reason: string;
}

/** What the aggregator needs of ClickHouse. Every call may be repeated, by several processes at once. */
export interface EventStore {
  /** All sightings of these ids that are on record. */
  sightings(keys: readonly string[]): Promise<readonly Sighting[]>;
  remember(sightings: readonly Sighting[]): Promise<void>;
  /** The events with these identities, each between two instants, as last corrected; those that are there. */
  find(wanted: readonly WantedEvent[]): Promise<readonly StoredEvent[]>;
  /** Stores a block. Answers the events ClickHouse will never take; all others are stored. */
  insert(events: readonly StoredEvent[]): Promise<readonly RefusedEvent[]>;
  /** Notes corrections that were applied, once the events they name are stored as corrected. */
  noteCorrections(corrections: readonly StoredCorrection[]): Promise<void>;
  derive(touched: TouchedCells): Promise<void>;
}

export interface WantedEvent {
  readonly tenantId: string;
  readonly idA: number;
  readonly idB: string;
  readonly fromMs: number;
  readonly toMs: number;
}

export function createEventStore(clickhouse: ClickHouse, clock: Clock): EventStore {
  return {
    sightings: (keys) => readSightings(clickhouse, keys),
    remember: (sightings) =>
      clickhouse.insert(
        'stored_ids',
        sightings.map(({ key, timeMs, partition, offset }) => [key, timeMs, partition, offset]),
        ['id', 'time', 'kafka_partition', 'kafka_offset'],
      ),
    find: (wanted) => findEvents(clickhouse, wanted),
    insert: (events) => insertBlock(clickhouse, events, clock.now()),
    noteCorrections: (corrections) =>
      clickhouse.insert(
        'stored_corrections',
        corrections.map(({ timeMs, sequence, spool, partition, offset }) => [
          timeMs,
          sequence,
          spool,
          clock.now(),
          partition,
          offset,
        ]),
        ['time', 'sequence', 'spool', 'ingested_at', 'kafka_partition', 'kafka_offset'],
      ),
    derive: (touched) => deriveTotals(clickhouse, touched),
  };
}

/**
 * One insert a block. When ClickHouse refuses a value (decoding should have), the block is halved until the row is
 * found: one bad row must not hold up all that come after it. Any other failure is thrown and the block kept.
 */
async function insertBlock(
  clickhouse: ClickHouse,
  events: readonly StoredEvent[],
  nowMs: number,
): Promise<readonly RefusedEvent[]> {
  try {
    await clickhouse.insertColumns('stored_events', events, storedEventColumns(nowMs));
    return [];
  } catch (error) {
    if (!(error instanceof TollgateError) || error.code !== 'CLICKHOUSE_DATA_REFUSED') throw error;
    const [only] = events;
    if (events.length === 1 && only !== undefined) return [{ event: only, reason: messageOf(error) }];
    const middle = events.length >> 1;
    const first = await insertBlock(clickhouse, events.slice(0, middle), nowMs);
    return [...first, ...(await insertBlock(clickhouse, events.slice(middle), nowMs))];
  }
}

const keysPerQuery = 4_000;
const keyShape = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;

/** Keys are hashes made here, checked, and too many for parameters, which travel in the URL: they stand in the SQL. */
async function readSightings(clickhouse: ClickHouse, keys: readonly string[]): Promise<readonly Sighting[]> {
  const found: Sighting[] = [];
  for (let start = 0; start < keys.length; start += keysPerQuery) {
    const list = keys.slice(start, start + keysPerQuery).filter((key) => keyShape.test(key));
    const rows = await clickhouse.query<Sighting>(
      `SELECT id AS key, toUnixTimestamp64Milli(time) AS timeMs, kafka_partition AS partition, kafka_offset AS offset
      FROM stored_ids WHERE id IN ('${list.join("','")}')`,
    );
    found.push(...rows);
  }
  return found;
}

/** Numbers stand in the SQL, which travels in the body; names in the URL, where they are kept few. */
const wantedPerQuery = 4_000;
const tenantsNamedMax = 200;
/** A query reads what lies between the earliest and the latest of its events. */
const spanMsMax = 2 * 3_600_000;

async function findEvents(
  clickhouse: ClickHouse,
  wanted: readonly WantedEvent[],
): Promise<readonly StoredEvent[]> {
  const found: StoredEvent[] = [];
  for (const some of inSpans(wanted)) {
    const tenants = new Set(some.map(({ tenantId }) => tenantId));
    const rows = await clickhouse.query<MoneyAsText<StoredEvent>>(
      `SELECT toUnixTimestamp64Milli(time) AS timeMs, tenant_id AS tenantId, id_skew_ms AS idSkewMs, id_a AS idA,
        toString(id_b) AS idB, external_id AS externalId, revision,
        usage_revision AS usageRevision, voided, type, source, user_id AS userId, plan, method,
        route, path, status, decision, limited_by AS limitedBy, units, toString(cost_exact) AS cost, latency_ms AS latencyMs,
        check_us AS checkMicros, node, sequence, spool, degraded, client_ip AS clientIp, service, entrypoint, properties,
        kafka_partition AS partition, kafka_offset AS offset
    FROM stored_events FINAL
    WHERE time >= fromUnixTimestamp64Milli({from:Int64}, 'UTC') AND time <= fromUnixTimestamp64Milli({to:Int64}, 'UTC')
      AND id_b IN (${some.map(({ idB }) => String(BigInt(idB))).join(',')})
      ${tenants.size > tenantsNamedMax ? '' : 'AND tenant_id IN {tenants:Array(String)}'}`,
      {
        from: some.reduce((earliest, { fromMs }) => Math.min(earliest, fromMs), Infinity),
        to: some.reduce((latest, { toMs }) => Math.max(latest, toMs), 0),
        ...(tenants.size > tenantsNamedMax ? {} : { tenants: [...tenants] }),
      },
    );
    found.push(...rows.map((row) => withMoney<StoredEvent>(row)));
  }
  return found;
}

/** Few enough for a query, and near to one another in time. */
function* inSpans(wanted: readonly WantedEvent[]): Generator<readonly WantedEvent[]> {
  let some: WantedEvent[] = [];
  for (const one of wanted.toSorted((a, b) => a.fromMs - b.fromMs)) {
    const [first] = some;
    const isFull =
      some.length >= wantedPerQuery || (first !== undefined && one.toMs - first.fromMs > spanMsMax);
    if (isFull) {
      yield some;
      some = [];
    }
    some.push(one);
  }
  if (some.length > 0) yield some;
}
