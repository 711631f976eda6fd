import { chunksOfIds } from './client.ts';
import type { ClickHouse } from './client.ts';

/** The totals that a block of events changes. */
export interface TouchedCells {
  readonly tenantIds: ReadonlySet<string>;
  /** Starts of minutes, Unix milliseconds. */
  readonly minutes: ReadonlySet<number>;
}

/**
 * Computes the totals of every touched (minute, tenant) again from the events, then the hours and days from the level
 * below. Idempotent: any process may repeat it at any time.
 *
 * Why an outdated writer never overwrites newer totals: each statement reads one snapshot and writes, for each group of
 * a cell, the number of distinct events plus the sum of their revisions as the row's version. Events are never removed,
 * a revision only rises, and a correction leaves the keys of the group unchanged. So a later snapshot has an equal or
 * higher version, and equal versions have equal contents. The process that stores an event last computes its cells
 * after that, from a snapshot with all events; the row of an outdated process has at most that version. The same holds
 * for hours and days, because versions of minutes only rise. (With replicas, a read must include all acknowledged
 * writes: the aggregator's user has insert_quorum and select_sequential_consistency, docs/decisions/040.)
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

/** The time range prunes partitions, the list of minutes prunes granules. */
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

/** Starts of the coarser periods that contain these instants, each once, in order. */
function starts(sortedMs: readonly number[], lengthMs: number): number[] {
  return [...new Set(sortedMs.map((ms) => Math.floor(ms / lengthMs) * lengthMs))];
}

const listCellsMax = 300;
/** Limits the number of monthly partitions that one statement writes to. */
const listSpanMsMax = 366 * dayMs;

/**
 * Cuts sorted cells into lists that fit into a request. Cells of one list may be months apart: the primary key selects
 * the granules of each cell, and the time between is not read. With one statement for each distant cell, a single tenant
 * with events spread over a year could delay the totals of all other tenants.
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
