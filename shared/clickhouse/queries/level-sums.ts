import { setTimeout as wait } from 'node:timers/promises';
import type { ClickHouseReader } from '../client.ts';

/** Number of events that each level (events, minutes, hours, days) counts for one day in UTC. */
export interface LevelSums {
  readonly day: string;
  readonly events: number;
  readonly by_minute: number;
  readonly by_hour: number;
  readonly by_day: number;
}

export interface LevelComparison {
  readonly events: number;
  /** Days for which two levels had different numbers in every comparison. */
  readonly disagreements: readonly LevelSums[];
}

const attemptsMax = 8;
const attemptIntervalMs = 250;

/**
 * Compares the numbers of events of the levels for each day between two times. An event is stored a moment before it is included
 * in the totals, so only a difference that persists for two seconds is reported.
 */
export async function compareLevels(
  clickhouse: ClickHouseReader,
  { sinceMs, untilMs }: { readonly sinceMs: number; readonly untilMs: number },
): Promise<LevelComparison> {
  let persistent: readonly string[] = [];
  for (let attempt = 1; ; attempt += 1) {
    const levels = await clickhouse.query<LevelSums>(levelsSql, { since: sinceMs, until: untilMs });
    const differing = levels.flatMap(differencesOf);
    persistent =
      attempt === 1 ? differing : persistent.filter((difference) => differing.includes(difference));
    if (persistent.length === 0 || attempt === attemptsMax) {
      return {
        events: levels.reduce((sum, { events }) => sum + events, 0),
        disagreements: levels.filter((level) =>
          differencesOf(level).some((difference) => persistent.includes(difference)),
        ),
      };
    }
    await wait(attemptIntervalMs);
  }
}

/**
 * Returns the pairs of levels that differ on a day. Raw events expire and totals do not, so on a day without events only the
 * totals are compared.
 */
function differencesOf({ day, events, by_minute, by_hour, by_day }: LevelSums): string[] {
  return [
    ...(events > 0 && events !== by_minute ? [`${day} in events`] : []),
    ...(by_minute !== by_hour ? [`${day} in minutes`] : []),
    ...(by_hour !== by_day ? [`${day} in hours`] : []),
  ];
}

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
