import type { ClickHouse } from '../clickhouse/client.ts';
import { firstPlaces, storedIdentities } from '../clickhouse/queries/stored-identities.ts';
import type { IdentityKey, StoredIdentityRow } from '../clickhouse/queries/stored-identities.ts';
import type { LogRecord } from './log-record.ts';

/** The reason why a record in Kafka has no row with its offset; `lost` when there is no reason. */
export type Explanation = 'dead letter' | 'repeat' | 'correction' | 'lost';

const everMs = { fromMs: 0, toMs: Date.UTC(2200, 0) };

/**
 * Finds the reason why each of these records has no row with its offset. A repeated request is stored with the offset of another
 * record. A repeated external event was first received at another offset. A correction changed the row of the event that it
 * names.
 */
export async function explain(
  clickhouse: ClickHouse,
  records: readonly LogRecord[],
  deadLetterPlaces: ReadonlySet<string>,
): Promise<Map<LogRecord, Explanation>> {
  const open = records.filter((record) => !deadLetterPlaces.has(placeOf(record)));
  const [requests, places, corrected] = [
    await storedRequests(clickhouse, open),
    await firstPlaces(clickhouse, keysOf(open)),
    await storedTargets(clickhouse, open),
  ];
  const explainOne = (record: LogRecord): Explanation => {
    const { event } = record;
    if (deadLetterPlaces.has(placeOf(record))) return 'dead letter';
    if (event?.kind === 'request')
      return requests.has(timedName(event.key, event.timeMs)) ? 'repeat' : 'lost';
    if (event?.kind === 'external') {
      const first = places.get(event.firstKey);
      return first === undefined || first === placeOf(record) ? 'lost' : 'repeat';
    }
    const isApplied = event?.targets.some((target) => (corrected.get(nameOf(target)) ?? 0) > record.offset);
    return isApplied === true ? 'correction' : 'lost';
  };
  return new Map(records.map((record) => [record, explainOne(record)]));
}

export function placeOf({ partition, offset }: { partition: number; offset: number }): string {
  return `${partition}:${offset}`;
}

async function storedRequests(
  clickhouse: ClickHouse,
  records: readonly LogRecord[],
): Promise<ReadonlySet<string>> {
  const wanted = records.flatMap(({ event }) => (event?.kind === 'request' ? [event] : []));
  if (wanted.length === 0) return new Set();
  const times = wanted.map(({ timeMs }) => timeMs);
  const span = {
    fromMs: times.reduce((a, b) => Math.min(a, b)),
    toMs: times.reduce((a, b) => Math.max(a, b)),
  };
  const keys = wanted.map(({ key }) => key);
  const rows = await storedIdentities(clickhouse, keys, span);
  return new Set(rows.map((row) => timedName(row, row.timeMs)));
}

/** Returns the highest stored revision of each event that a correction may name, whatever the time of the event. */
async function storedTargets(
  clickhouse: ClickHouse,
  records: readonly LogRecord[],
): Promise<ReadonlyMap<string, number>> {
  const targets = records.flatMap(({ event }) => (event?.kind === 'correction' ? event.targets : []));
  const rows: readonly StoredIdentityRow[] =
    targets.length === 0 ? [] : await storedIdentities(clickhouse, targets, everMs);
  const highest = new Map<string, number>();
  for (const row of rows) highest.set(nameOf(row), Math.max(row.revision, highest.get(nameOf(row)) ?? 0));
  return highest;
}

function keysOf(records: readonly LogRecord[]): string[] {
  return records.flatMap(({ event }) => (event?.kind === 'external' ? [event.firstKey] : []));
}

function nameOf({ tenantId, idA, idB }: IdentityKey): string {
  return JSON.stringify([tenantId, idA, idB]);
}

function timedName(key: IdentityKey, timeMs: number): string {
  return `${timeMs} ${nameOf(key)}`;
}
