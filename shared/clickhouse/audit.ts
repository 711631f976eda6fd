import type { ClickHouse } from './client.ts';
import { requestEventType } from '../domain/usage-event.ts';

/** Whole numbers from `from` to `to`, both missing. */
export interface MissingRange {
  readonly from: number;
  readonly to: number;
}

export interface AuditReport {
  /**
   * Offsets without a row, by partition of the usage topic. Not each is a loss: dead letters, corrections, repeats and
   * the first copies of events that were sent twice leave no row. The record, while Kafka keeps it, tells which.
   */
  readonly missingOffsets: Readonly<Record<string, readonly MissingRange[]>>;
  /** Numbers without an event, by gateway node: each is an event that was never stored, or is not yet. */
  readonly missingSequences: Readonly<Record<string, readonly MissingRange[]>>;
  /** Sums that do not agree between the levels, by day; empty when all do. */
  readonly disagreements: readonly LevelSums[];
  readonly events: number;
  readonly rangesCut: boolean;
}

export interface LevelSums {
  readonly day: string;
  readonly events: number;
  readonly by_minute: number;
  readonly by_hour: number;
  readonly by_day: number;
}

export interface AuditSpan {
  /** Events of these times are looked at, Unix milliseconds. Whole days are compared between the levels. */
  readonly sinceMs: number;
  /** Younger events may still be on their way: give `completeThrough` or a minute ago. */
  readonly untilMs: number;
}

/** More ranges than this are not listed: the answer then is "very much". */
const rangesMax = 10_000;

/**
 * Looks for losses: numbers that should be contiguous and are not. A gateway numbers its events one by one, and Kafka
 * the records of a partition, so an event that vanished anywhere on the way leaves a gap in one or both. Only gaps
 * between stored events can be seen; what is missing at the very end is lag, which has its own metric.
 */
export async function audit(clickhouse: ClickHouse, span: AuditSpan): Promise<AuditReport> {
  const offsets = await gaps(clickhouse, 'kafka_partition', 'kafka_offset', '1', span);
  const sequences = await gaps(clickhouse, 'node', 'sequence', 'type = {requestType:String}', span);
  const levels = await clickhouse.query<LevelSums>(levelsSql, { since: span.sinceMs, until: span.untilMs });
  return {
    missingOffsets: grouped(offsets),
    missingSequences: grouped(sequences),
    disagreements: levels.filter(
      ({ events, by_minute, by_hour, by_day }) =>
        by_minute !== by_hour || by_hour !== by_day || (events > 0 && events !== by_day),
    ),
    events: levels.reduce((sum, { events }) => sum + events, 0),
    rangesCut: offsets.length >= rangesMax || sequences.length >= rangesMax,
  };
}

interface Gap extends MissingRange {
  readonly series: string;
}

/** Voided events have their numbers too, so the stored table is read, not the view. */
function gaps(
  clickhouse: ClickHouse,
  series: 'kafka_partition' | 'node',
  number: 'kafka_offset' | 'sequence',
  condition: string,
  { sinceMs, untilMs }: AuditSpan,
): Promise<Gap[]> {
  return clickhouse.query<Gap>(
    `SELECT series, previous + 1 AS from, number - 1 AS to
    FROM (
        SELECT series, number, lagInFrame(number, 1, number) OVER (PARTITION BY series ORDER BY number
            ROWS BETWEEN 1 PRECEDING AND CURRENT ROW) AS previous
        FROM (
            SELECT DISTINCT toString(${series}) AS series, toInt64(${number}) AS number FROM stored_events
            WHERE time >= fromUnixTimestamp64Milli({since:Int64}, 'UTC')
              AND time < fromUnixTimestamp64Milli({until:Int64}, 'UTC') AND ${condition}
        )
    )
    WHERE number - previous > 1
    ORDER BY series, from
    LIMIT {rangesMax:UInt32}`,
    { since: sinceMs, until: untilMs, requestType: requestEventType, rangesMax },
  );
}

/** Raw events leave by retention, totals stay: a day without events left is compared between its totals only. */
const levelsSql = `
SELECT toString(l.day) AS day, sum(e) AS events, sum(m) AS by_minute, sum(h) AS by_hour, sum(d) AS by_day
FROM (
    SELECT toDate(time) AS day, count() AS e, 0 AS m, 0 AS h, 0 AS d FROM usage_events
    WHERE time >= toDateTime(toDate(fromUnixTimestamp64Milli({since:Int64}, 'UTC')), 'UTC') GROUP BY day
    UNION ALL
    SELECT toDate(minute) AS day, 0, sum(requests), 0, 0 FROM usage_by_minute
    WHERE minute >= toDateTime(toDate(fromUnixTimestamp64Milli({since:Int64}, 'UTC')), 'UTC') GROUP BY day
    UNION ALL
    SELECT toDate(hour) AS day, 0, 0, sum(requests), 0 FROM usage_by_hour
    WHERE hour >= toDateTime(toDate(fromUnixTimestamp64Milli({since:Int64}, 'UTC')), 'UTC') GROUP BY day
    UNION ALL
    SELECT day, 0, 0, 0, sum(requests) FROM usage_by_day
    WHERE day >= toDate(fromUnixTimestamp64Milli({since:Int64}, 'UTC')) GROUP BY day
) AS l
WHERE l.day < toDate(fromUnixTimestamp64Milli({until:Int64}, 'UTC') + INTERVAL 1 DAY)
GROUP BY l.day
ORDER BY l.day`;

function grouped(gapsFound: readonly Gap[]): Record<string, MissingRange[]> {
  const bySeries: Record<string, MissingRange[]> = {};
  for (const { series, from, to } of gapsFound) (bySeries[series] ??= []).push({ from, to });
  return bySeries;
}

/** How many numbers the ranges of all series name. */
export function missingCount(bySeries: Readonly<Record<string, readonly MissingRange[]>>): number {
  return Object.values(bySeries)
    .flat()
    .reduce((sum, { from, to }) => sum + to - from + 1, 0);
}
