import { chunksOfIds } from './client.ts';
import type { ClickHouse } from './client.ts';
import { served } from './queries/predicates.ts';

/** The minutes and tenants whose totals a batch of events changes. */
export interface TouchedCells {
  readonly tenantIds: ReadonlySet<string>;
  /** Starts of minutes, Unix milliseconds. */
  readonly minutes: ReadonlySet<number>;
  /**
   * True if a correction may have set the model of an event in these cells, which moves the event to another group. The
   * groups without a model are then written too, also if they are empty now.
   */
  readonly hasRegrouped: boolean;
}

/**
 * Computes the totals of minutes, hours and days again for every cell (a minute, hour or day of one tenant) that new events
 * change. Minutes are computed from the events, hours from the minutes, days from the hours. Idempotent: any process may repeat
 * it at any time.
 *
 * A process that reads an old snapshot never overwrites newer totals, for this reason: Each statement reads one snapshot of the
 * data and writes one row for each group of a cell. The version of the row is the number of distinct events of the cell plus the
 * sum of their revisions. Events are never removed, and a revision only rises. So a later snapshot has an equal or higher
 * version, and equal versions have equal contents. The version is that of the cell and not of the group, because a correction may
 * move an event from one group to another. Every process computes the cells of its
 * events after it has stored them. The process that stores the last event of a cell therefore reads all events and writes the
 * highest version; rows from older snapshots have at most this version. The same holds for hours and days, because versions of
 * minutes only rise. (With replicas, a read must include all acknowledged writes: the aggregator's user has insert_quorum and
 * select_sequential_consistency, docs/decisions/040.)
 */
export async function deriveTotals(
  clickhouse: ClickHouse,
  touched: TouchedCells,
  onStatement: () => void = () => undefined,
): Promise<void> {
  const minutes = [...touched.minutes].sort((a, b) => a - b);
  const hours = starts(minutes, hourMs);
  const days = starts(hours, dayMs);
  for (const tenants of chunksOfIds([...touched.tenantIds])) {
    for (const level of [
      { sql: minutesFromEvents(ofCells, touched.hasRegrouped), cells: minutes, spanMs: 60_000 },
      { sql: hoursFromMinutes(ofCells), cells: hours, spanMs: hourMs },
      { sql: daysFromHours(ofCells), cells: days, spanMs: dayMs },
    ]) {
      for (const cells of cellLists(level.cells)) {
        await clickhouse.command(level.sql, {
          tenants,
          cells: cells.map((startMs) => startMs / 1000),
          from: (cells[0] ?? 0) / 1000,
          to: ((cells.at(-1) ?? 0) + level.spanMs) / 1000,
        });
        onStatement();
      }
    }
  }
}

/**
 * Computes the totals of all tenants in a time range, e.g. after the events of months were inserted at once. The range must begin
 * and end at a day, and its events must have no corrections.
 */
export async function deriveTotalsBetween(
  clickhouse: ClickHouse,
  fromMs: number,
  toMs: number,
): Promise<void> {
  const everyCell: Selection = () => '';
  for (const sql of [
    minutesFromEvents(everyCell, false),
    hoursFromMinutes(everyCell),
    daysFromHours(everyCell),
  ])
    await clickhouse.command(sql, { from: fromMs / 1000, to: toMs / 1000 });
}

/** Condition for the cells of a statement; `start` is the expression of a cell's start. */
type Selection = (start: string) => string;

const ofCells: Selection = (start) =>
  `AND toUnixTimestamp(${start}) IN {cells:Array(UInt32)} AND tenant_id IN {tenants:Array(String)}`;

const hourMs = 3_600_000;
const dayMs = 24 * hourMs;

const groups = 'tenant_id, plan, route, type, decision, model';
const sums = 'requests, errors, units, cost_exact, quantities, reserved, reserved_units, latency, version';

/**
 * With the time range, ClickHouse skips partitions; with the list of minutes, it skips granules. Refused requests use no amounts.
 * An open reservation has no status and no latency yet.
 */
const minutesFromEvents = (select: Selection, hasRegrouped: boolean): string => `
INSERT INTO stored_minutes (minute, ${groups}, ${sums})
SELECT minute, ${groups}, requests, errors, units, cost_exact, quantities, reserved, reserved_units, latency,
    sum(versions) OVER (PARTITION BY minute, tenant_id) AS version
FROM (
    SELECT
        toStartOfMinute(e.time) AS minute, ${groups},
        countIf(e.counts) AS requests, countIf(e.counts AND e.status >= 500) AS errors,
        sumIf(e.units, e.counts) AS units, sumIf(e.cost_exact, e.counts) AS cost_exact,
        sumMapIf(e.quantities, e.counts AND ${served}) AS quantities,
        sumMapIf(e.quantities, e.counts AND ${served} AND e.reservation = 'open') AS reserved,
        sumIf(e.units, e.counts AND ${served} AND e.reservation = 'open') AS reserved_units,
        quantilesTDigestStateIf(0.5, 0.95, 0.99)(e.latency_ms, e.counts AND e.reservation != 'open') AS latency,
        sumIf(1 + e.revision, e.is_present) AS versions
    FROM (${eventsOfCells(select)}${hasRegrouped ? `\n    UNION ALL${eventsWithoutModel(select)}` : ''}
    ) AS e
    GROUP BY minute, ${groups}
)`;

const touchedEvents = (select: Selection): string => `
    FROM stored_events FINAL
    WHERE time >= toDateTime64({from:UInt32}, 3, 'UTC') AND time < toDateTime64({to:UInt32}, 3, 'UTC')
      ${select('toStartOfMinute(time)')}`;

const finalOfPartitions = `
    SETTINGS do_not_merge_across_partitions_select_final = 1`;

const columns = `time, tenant_id, plan, route, type, decision, status, units, cost_exact, quantities, reservation, latency_ms, revision`;

const eventsOfCells = (select: Selection): string => `
    SELECT ${columns}, model, NOT voided AS counts, true AS is_present ${touchedEvents(select)}${finalOfPartitions}`;

/** The corrected events with a model, in the groups that they had without it. They add nothing to these groups. */
const eventsWithoutModel = (select: Selection): string => `
    SELECT ${columns}, '' AS model, false AS counts, false AS is_present ${touchedEvents(select)}
      AND revision > 0 AND stored_events.model != ''${finalOfPartitions}`;

const merged = `sum(t.requests), sum(t.errors), sum(t.units), sum(t.cost_exact), sumMap(t.quantities), sumMap(t.reserved),
    sum(t.reserved_units), quantilesTDigestMergeState(0.5, 0.95, 0.99)(t.latency), sum(t.version)`;

const hoursFromMinutes = (select: Selection): string => `
INSERT INTO stored_hours (hour, ${groups}, ${sums})
SELECT toStartOfHour(t.minute) AS hour, ${groups}, ${merged}
FROM stored_minutes AS t FINAL
WHERE t.minute >= toDateTime({from:UInt32}, 'UTC') AND t.minute < toDateTime({to:UInt32}, 'UTC')
  ${select('toStartOfHour(t.minute)')}
GROUP BY hour, ${groups}
SETTINGS do_not_merge_across_partitions_select_final = 1`;

const daysFromHours = (select: Selection): string => `
INSERT INTO stored_days (day, ${groups}, ${sums})
SELECT toDate(t.hour) AS day, ${groups}, ${merged}
FROM stored_hours AS t FINAL
WHERE t.hour >= toDateTime({from:UInt32}, 'UTC') AND t.hour < toDateTime({to:UInt32}, 'UTC')
  ${select('toStartOfDay(t.hour)')}
GROUP BY day, ${groups}
SETTINGS do_not_merge_across_partitions_select_final = 1`;

/** Returns the starts of the hours or days (of `lengthMs`) that contain these times, each once, in order. */
function starts(sortedMs: readonly number[], lengthMs: number): number[] {
  return [...new Set(sortedMs.map((ms) => Math.floor(ms / lengthMs) * lengthMs))];
}

const listCellsMax = 300;
/** Longest span of the cells of one statement, to limit the number of monthly partitions that it writes to. */
const listSpanMsMax = 366 * dayMs;

/**
 * Divides sorted cells into lists that each fit into one statement. The cells of a list may be months apart: ClickHouse selects
 * the granules of each cell by the primary key, and does not read the time between them. If distant cells needed one statement
 * each, a single tenant with events spread over a year could delay the totals of all other tenants.
 */
function cellLists(sortedMs: readonly number[]): number[][] {
  const pieces: number[][] = [];
  for (const ms of sortedMs) {
    const last = pieces.at(-1);
    const fits = last !== undefined && ms - (last[0] ?? ms) < listSpanMsMax;
    if (fits && last.length < listCellsMax) last.push(ms);
    else pieces.push([ms]);
  }
  return pieces;
}
