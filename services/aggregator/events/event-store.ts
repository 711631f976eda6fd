import type { ClickHouse } from '../../../shared/clickhouse/client.ts';
import { deriveTotals } from '../../../shared/clickhouse/derive-totals.ts';
import { withMoney } from '../../../shared/clickhouse/queries/period-totals.ts';
import type { MoneyAsText } from '../../../shared/clickhouse/queries/period-totals.ts';
import type { TouchedCells } from '../../../shared/clickhouse/derive-totals.ts';
import { TollgateError, messageOf } from '../../../shared/runtime/errors.ts';
import { noCallUsage } from '../../../shared/domain/events/call-usage.ts';
import type { Clock } from '../../../shared/runtime/time/clock.ts';
import type { StoredCorrection } from './decode.ts';
import { storedEventColumns } from './stored-event.ts';
import type { StoredEvent } from './stored-event.ts';

/** The place in the log (partition and offset) of the first record that has this external id. */
export interface FirstPlace {
  /** The external id in the form of `externalKey`. */
  readonly key: string;
  readonly timeMs: number;
  readonly partition: number;
  readonly offset: number;
}

export interface RefusedEvent {
  readonly event: StoredEvent;
  readonly reason: string;
}

/** The events in ClickHouse. Every call may be repeated, by several processes at once. */
export interface EventStore {
  /** Returns the stored first places of these ids. An id that is not stored has none. */
  firstPlaces(keys: readonly string[]): Promise<readonly FirstPlace[]>;
  storeFirstPlaces(places: readonly FirstPlace[]): Promise<void>;
  /** Returns the stored events with these identities, each within its time range and in its newest revision. */
  findEvents(wanted: readonly WantedEvent[]): Promise<readonly StoredEvent[]>;
  /** Stores events. Returns the events that ClickHouse refuses permanently; all other events are then stored. */
  insert(events: readonly StoredEvent[]): Promise<readonly RefusedEvent[]>;
  /** Stores the corrections that were applied. Called after the corrected events are stored. */
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
    firstPlaces: (keys) => readFirstPlaces(clickhouse, keys),
    storeFirstPlaces: (places) =>
      clickhouse.insert(
        'stored_ids',
        places.map(({ key, timeMs, partition, offset }) => [key, timeMs, partition, offset]),
        ['id', 'time', 'kafka_partition', 'kafka_offset'],
      ),
    findEvents: (wanted) => findEvents(clickhouse, wanted),
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
 * Inserts the events in one statement. When ClickHouse refuses a value that decoding accepted, the list of events is
 * divided in halves, which are inserted separately, until the invalid row is found. So one invalid row does not delay
 * the rows after it. Any other failure is thrown; the consumer then delivers the block again.
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

/**
 * The keys are part of the SQL text, because parameters are sent in the URL, which is too short for thousands of keys.
 * The shape of each key is checked.
 */
async function readFirstPlaces(
  clickhouse: ClickHouse,
  keys: readonly string[],
): Promise<readonly FirstPlace[]> {
  const found: FirstPlace[] = [];
  for (let start = 0; start < keys.length; start += keysPerQuery) {
    const list = keys.slice(start, start + keysPerQuery).filter((key) => keyShape.test(key));
    const rows = await clickhouse.query<FirstPlace>(
      `SELECT id AS key, toUnixTimestamp64Milli(time) AS timeMs, kafka_partition AS partition, kafka_offset AS offset
      FROM stored_ids WHERE id IN ('${list.join("','")}')`,
    );
    found.push(...rows);
  }
  return found;
}

/**
 * Largest number of events and of tenant names in one query. Numbers are part of the SQL text, which is sent in the
 * body; names are parameters in the URL, so fewer of them are allowed.
 */
const wantedPerQuery = 4_000;
const tenantsNamedMax = 200;
/**
 * Longest time between the earliest and the latest event of one query, because the query reads all rows between them.
 */
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
    found.push(...rows.map((row) => ({ ...withMoney<StoredEvent>(row), usage: noCallUsage })));
  }
  return found;
}

/** Groups the wanted events by time. Each group is small enough for one query. */
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
