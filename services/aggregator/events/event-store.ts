import type { ClickHouse } from '../../../shared/clickhouse/client.ts';
import { deriveTotals } from '../../../shared/clickhouse/derive-totals.ts';
import type { TouchedCells } from '../../../shared/clickhouse/derive-totals.ts';
import { TollgateError, messageOf } from '../../../shared/runtime/errors.ts';
import type { Clock } from '../../../shared/runtime/time/clock.ts';
import type { CorrectionPlace, StoredCorrection } from './decode.ts';
import { columnNames, encodeChunk } from './event-chunk.ts';
import type { EventChunk } from './event-chunk.ts';
import { findStoredCorrections } from './find-stored-corrections.ts';
import { findStoredEvents } from './find-stored-events.ts';
import type { WantedEvent } from './find-stored-events.ts';
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
  insert(chunks: readonly EventChunk[]): Promise<readonly RefusedEvent[]>;
  /**
   * Returns the stored rows of these corrections: their own and those of their copies, which have the same spool run and sequence
   * number. Rows of other corrections may be among them.
   */
  findCorrections(wanted: readonly CorrectionPlace[]): Promise<readonly CorrectionPlace[]>;
  /** Stores the corrections that were applied or are repeats, and their ids. Called after the corrected events are stored. */
  noteCorrections(corrections: readonly StoredCorrection[]): Promise<void>;
  /** Calls `onStatement` after each statement, because all statements together may last minutes. */
  derive(touched: TouchedCells, onStatement: () => void): Promise<void>;
}

export function createEventStore(clickhouse: ClickHouse, clock: Clock): EventStore {
  return {
    firstPlaces: (keys) => readFirstPlaces(clickhouse, keys),
    storeFirstPlaces: (places) => insertPlaces(clickhouse, places),
    findEvents: (wanted) => findStoredEvents(clickhouse, wanted),
    insert: (chunks) => insertChunks(clickhouse, chunks, clock),
    findCorrections: (wanted) => findStoredCorrections(clickhouse, wanted),
    noteCorrections: (corrections) => insertCorrections(clickhouse, corrections, clock.now()),
    derive: (touched, onStatement) => deriveTotals(clickhouse, touched, onStatement),
  };
}

function insertPlaces(clickhouse: ClickHouse, places: readonly FirstPlace[]): Promise<void> {
  return clickhouse.insert(
    'stored_ids',
    places.map(({ key, timeMs, partition, offset }) => [key, timeMs, partition, offset]),
    ['id', 'time', 'kafka_partition', 'kafka_offset'],
  );
}

async function insertCorrections(
  clickhouse: ClickHouse,
  corrections: readonly StoredCorrection[],
  nowMs: number,
): Promise<void> {
  const published = corrections.flatMap(({ key, ...place }) => (key === null ? [] : [{ key, ...place }]));
  if (published.length > 0) await insertPlaces(clickhouse, published);
  await clickhouse.insert(
    'stored_corrections',
    corrections.map(({ timeMs, sequence, spool, partition, offset }) => [
      timeMs,
      sequence,
      spool,
      nowMs,
      partition,
      offset,
    ]),
    ['time', 'sequence', 'spool', 'ingested_at', 'kafka_partition', 'kafka_offset'],
  );
}

/**
 * Inserts the chunks in one statement. When ClickHouse refuses a value that decoding accepted, the list of events is
 * divided in halves, which are inserted separately, until the invalid row is found. So one invalid row does not delay
 * the rows after it. Any other failure is thrown; the consumer then delivers the block again.
 */
async function insertChunks(
  clickhouse: ClickHouse,
  chunks: readonly EventChunk[],
  clock: Clock,
): Promise<readonly RefusedEvent[]> {
  try {
    await clickhouse.insertNative(
      'stored_events',
      columnNames(chunks),
      chunks.map(({ bytes }) => bytes),
    );
    return [];
  } catch (error) {
    if (!(error instanceof TollgateError) || error.code !== 'CLICKHOUSE_DATA_REFUSED') throw error;
    const events = chunks.flatMap((chunk) => chunk.events());
    const [only] = events;
    if (events.length === 1 && only !== undefined) return [{ event: only, reason: messageOf(error) }];
    const middle = events.length >> 1;
    const refused: RefusedEvent[] = [];
    for (const half of [events.slice(0, middle), events.slice(middle)]) {
      const chunk = encodeChunk(half, clock.now());
      refused.push(...(await insertChunks(clickhouse, [chunk], clock)));
    }
    return refused;
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
