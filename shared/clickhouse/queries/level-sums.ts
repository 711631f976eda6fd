import { setTimeout as wait } from 'node:timers/promises';
import type { ClickHouseReader } from '../client.ts';

/** How many events each level counts on a day of UTC. */
export interface LevelSums {
  readonly day: string;
  readonly events: number;
  readonly by_minute: number;
  readonly by_hour: number;
  readonly by_day: number;
}

export interface LevelsAnswer {
  readonly events: number;
  /** Days on which two levels disagreed each time they were looked at. */
  readonly disagreements: readonly LevelSums[];
}

const looksMax = 8;
const lookIntervalMs = 250;

/**
 * Compares the sums of the levels on the days that two instants touch. An event is stored a moment before it is in the
 * totals, so a difference counts only when it is there at every look of two seconds.
 */
export async function compareLevels(
  clickhouse: ClickHouseReader,
  { sinceMs, untilMs }: { readonly sinceMs: number; readonly untilMs: number },
): Promise<LevelsAnswer> {
  let standing: readonly string[] = [];
  for (let look = 1; ; look += 1) {
    const levels = await clickhouse.query<LevelSums>(levelsSql, { since: sinceMs, until: untilMs });
    const differing = levels.flatMap(differencesOf);
    standing = look === 1 ? differing : standing.filter((difference) => differing.includes(difference));
    if (standing.length === 0 || look === looksMax) {
      const days = new Set(standing.map((difference) => difference.split(' ')[0]));
      return {
        events: levels.reduce((sum, { events }) => sum + events, 0),
        disagreements: levels.filter(({ day }) => days.has(day)),
      };
    }
    await wait(lookIntervalMs);
  }
}

/** Raw events leave by retention, totals stay: a day without events left is compared between its totals only. */
function differencesOf({ day, events, by_minute, by_hour, by_day }: LevelSums): string[] {
  return [
    ...(events > 0 && events !== by_minute ? [`${day} events`] : []),
    ...(by_minute !== by_hour ? [`${day} minutes`] : []),
    ...(by_hour !== by_day ? [`${day} hours`] : []),
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
