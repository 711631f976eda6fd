import type { Params } from '../client.ts';

/** `startMs` belongs to it, `endMs` does not. Unix milliseconds; null: no end, which includes events of the future. */
export interface OpenSpan {
  readonly startMs: number;
  readonly endMs: number | null;
}

/** The totals that ClickHouse keeps, and the events from which they are computed. */
export type UsageLevel = 'event' | 'minute' | 'hour' | 'day';

/** Part of a span and the level that it is read from. */
export interface LevelPart extends OpenSpan {
  readonly level: UsageLevel;
}

const levels = [
  { level: 'day', lengthMs: 86_400_000 },
  { level: 'hour', lengthMs: 3_600_000 },
  { level: 'minute', lengthMs: 60_000 },
  { level: 'event', lengthMs: 1 },
] as const;

/**
 * Cuts a span into parts, each read from the coarsest level that holds it exactly: whole days of UTC from the days, then
 * whole hours, whole minutes, and single events. A month costs some hundred rows a tenant, a start in the middle of a
 * minute (a reset) is exact, and so are days of zones with half hours. In order of time.
 */
export function levelParts({ startMs, endMs }: OpenSpan, coarsest = 0): LevelPart[] {
  const current = levels[coarsest];
  if (current === undefined || (endMs !== null && startMs >= endMs)) return [];
  const { level, lengthMs } = current;
  const firstMs = Math.ceil(startMs / lengthMs) * lengthMs;
  const lastMs = endMs === null ? null : Math.floor(endMs / lengthMs) * lengthMs;
  // No whole day, hour, … lies within the span.
  if (lastMs !== null && firstMs >= lastMs) return levelParts({ startMs, endMs }, coarsest + 1);
  return [
    ...levelParts({ startMs, endMs: firstMs }, coarsest + 1),
    { level, startMs: firstMs, endMs: lastMs },
    ...(lastMs === null ? [] : levelParts({ startMs: lastMs, endMs }, coarsest + 1)),
  ];
}

const tables = {
  day: { name: 'usage_by_day', time: 'day' },
  hour: { name: 'usage_by_hour', time: 'hour' },
  minute: { name: 'usage_by_minute', time: 'minute' },
  event: { name: 'usage_events', time: 'time' },
} as const;

/**
 * A subquery with the rows of a span, from all levels that it needs. `columns` must exist in each of them; `at` is
 * the start of the row's minute, hour or day.
 */
export function usageRows(
  span: OpenSpan,
  { columns, where }: { readonly columns: string; readonly where: string },
): { readonly sql: string; readonly params: Params } {
  const params: Record<string, number> = {};
  const selects = levelParts(span).map(({ level, startMs, endMs }, index) => {
    const { name, time } = tables[level];
    params[`from${index}`] = startMs;
    if (endMs !== null) params[`to${index}`] = endMs;
    const at = level === 'day' ? `toDateTime(day, 'UTC')` : time;
    const range = levelRange(level, `from${index}`, endMs === null ? null : `to${index}`);
    return `SELECT ${columns}, ${at} AS at FROM ${name} WHERE ${range} AND ${where}`;
  });
  return { sql: selects.join('\nUNION ALL\n'), params };
}

/** The condition that a level's row lies within a span, whose ends are parameters in Unix milliseconds. */
export function levelRange(level: UsageLevel, from: string, to: string | null): string {
  const instant = (name: string): string => `fromUnixTimestamp64Milli({${name}:Int64}, 'UTC')`;
  const bound = (name: string): string => {
    if (level === 'event') return instant(name);
    return level === 'day' ? `toDate(${instant(name)})` : `toDateTime(${instant(name)}, 'UTC')`;
  };
  const { time } = tables[level];
  return `${time} >= ${bound(from)}${to === null ? '' : ` AND ${time} < ${bound(to)}`}`;
}
