import { chunksOfIds } from './client.ts';
import type { ClickHouse } from './client.ts';

/** The minutes and tenants whose totals a batch of events changes. */
export interface TouchedCells {
  readonly tenantIds: ReadonlySet<string>;
  /** Starts of minutes, Unix milliseconds. */
  readonly minutes: ReadonlySet<number>;
}

/**
 * Computes the totals of minutes, hours and days again for every cell (a minute, hour or day of one tenant) that new events
 * change. Minutes are computed from the events, hours from the minutes, days from the hours. Idempotent: any process may repeat
 * it at any time.
 *
 * A process that reads an old snapshot never overwrites newer totals, for this reason: Each statement reads one snapshot of the
 * data and writes one row for each group of a cell. The version of the row is the number of distinct events plus the sum of their
 * revisions. Events are never removed, a revision only rises, and a correction does not move an event to another group. So a
 * later snapshot has an equal or higher version, and equal versions have equal contents. Every process computes the cells of its
 * events after it has stored them. The process that stores the last event of a cell therefore reads all events and writes the
 * highest version; rows from older snapshots have at most this version. The same holds for hours and days, because versions of
 * minutes only rise. (With replicas, a read must include all acknowledged writes: the aggregator's user has insert_quorum and
 * select_sequential_consistency, docs/decisions/040.)
 */
export async function deriveTotals(clickhouse: ClickHouse, touched: TouchedCells): Promise<void> {
  const minutes = [...touched.minutes].sort((a, b) => a - b);
  const hours = starts(minutes, hourMs);
  const days = starts(hours, dayMs);
  for (const tenants of chunksOfIds([...touched.tenantIds])) {
    for (const level of [
      { sql: minutesFromEvents, cells: minutes, spanMs: 60_000 },
      { sql: hoursFromMinutes, cells: hours, spanMs: hourMs },
      { sql: daysFromHours, cells: days, spanMs: dayMs },
    ]) {
      for (const cells of cellLists(level.cells)) {
        await clickhouse.command(level.sql, {
          tenants,
          cells: cells.map((startMs) => startMs / 1000),
          from: (cells[0] ?? 0) / 1000,
          to: ((cells.at(-1) ?? 0) + level.spanMs) / 1000,
        });
      }
    }
  }
}

const hourMs = 3_600_000;
const dayMs = 24 * hourMs;

const groups = 'tenant_id, plan, route, type, decision';

/** With the time range, ClickHouse skips partitions; with the list of minutes, it skips granules. */
const minutesFromEvents = `
INSERT INTO stored_minutes (minute, ${groups}, requests, errors, units, cost_exact, latency, version)
SELECT
    toStartOfMinute(e.time) AS minute, ${groups},
    countIf(NOT e.voided), countIf(NOT e.voided AND e.status >= 500),
    sumIf(e.units, NOT e.voided), sumIf(e.cost_exact, NOT e.voided),
    quantilesTDigestStateIf(0.5, 0.95, 0.99)(e.latency_ms, NOT e.voided),
    count() + sum(e.revision)
FROM stored_events AS e FINAL
WHERE e.time >= toDateTime64({from:UInt32}, 3, 'UTC') AND e.time < toDateTime64({to:UInt32}, 3, 'UTC')
  AND toUnixTimestamp(toStartOfMinute(e.time)) IN {cells:Array(UInt32)}
  AND e.tenant_id IN {tenants:Array(String)}
GROUP BY minute, ${groups}
SETTINGS do_not_merge_across_partitions_select_final = 1`;

const merged = `sum(t.requests), sum(t.errors), sum(t.units), sum(t.cost_exact),
    quantilesTDigestMergeState(0.5, 0.95, 0.99)(t.latency), sum(t.version)`;

const hoursFromMinutes = `
INSERT INTO stored_hours (hour, ${groups}, requests, errors, units, cost_exact, latency, version)
SELECT toStartOfHour(t.minute) AS hour, ${groups}, ${merged}
FROM stored_minutes AS t FINAL
WHERE t.minute >= toDateTime({from:UInt32}, 'UTC') AND t.minute < toDateTime({to:UInt32}, 'UTC')
  AND toUnixTimestamp(toStartOfHour(t.minute)) IN {cells:Array(UInt32)}
  AND t.tenant_id IN {tenants:Array(String)}
GROUP BY hour, ${groups}
SETTINGS do_not_merge_across_partitions_select_final = 1`;

const daysFromHours = `
INSERT INTO stored_days (day, ${groups}, requests, errors, units, cost_exact, latency, version)
SELECT toDate(t.hour) AS day, ${groups}, ${merged}
FROM stored_hours AS t FINAL
WHERE t.hour >= toDateTime({from:UInt32}, 'UTC') AND t.hour < toDateTime({to:UInt32}, 'UTC')
  AND toUnixTimestamp(toStartOfDay(t.hour)) IN {cells:Array(UInt32)}
  AND t.tenant_id IN {tenants:Array(String)}
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
