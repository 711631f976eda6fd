import type { Params } from '../client.ts';

/**
 * A span in Unix milliseconds. `startMs` is included, `endMs` is excluded. If `endMs` is null, the span has no end and includes
 * events with a future time.
 */
export interface OpenSpan {
  readonly startMs: number;
  readonly endMs: number | null;
}

/** Levels of usage in ClickHouse: events, and the totals by minute, hour and day that are computed from them. */
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
 * Divides a span into parts, in order of time. Each part is read from the coarsest level that covers it exactly: whole
 * days in UTC from the totals by day, other whole hours from the totals by hour, then whole minutes, and single events.
 * So a month costs only some hundred rows per tenant. A span that starts in the middle of a minute (at a reset), and
 * days of time zones with half hours, are exact too.
 */
export function levelParts({ startMs, endMs }: OpenSpan, coarsest = 0): LevelPart[] {
  const current = levels[coarsest];
  if (current === undefined || (endMs !== null && startMs >= endMs)) return [];
  const { level, lengthMs } = current;
  const firstMs = Math.ceil(startMs / lengthMs) * lengthMs;
  const lastMs = endMs === null ? null : Math.floor(endMs / lengthMs) * lengthMs;
  // The span contains no whole day (or hour, or minute).
  if (lastMs !== null && firstMs >= lastMs) return levelParts({ startMs, endMs }, coarsest + 1);
  return [
    ...levelParts({ startMs, endMs: firstMs }, coarsest + 1),
    { level, startMs: firstMs, endMs: lastMs },
    ...(lastMs === null ? [] : levelParts({ startMs: lastMs, endMs }, coarsest + 1)),
  ];
}

/**
 * Divides adjoining spans, in order of time, into parts. No part contains the border between two spans unless it can be
 * read from a level whose rows do not contain the border.
 */
export function partsOfSpans(spans: readonly OpenSpan[]): LevelPart[] {
  const parts: LevelPart[] = [];
  for (const part of spans.flatMap((span) => levelParts(span))) {
    const last = parts.at(-1);
    if (last?.level === part.level && last.endMs === part.startMs) {
      parts[parts.length - 1] = { ...last, endMs: part.endMs };
    } else parts.push(part);
  }
  return parts;
}

const tables = {
  day: { name: 'usage_by_day', time: 'day' },
  hour: { name: 'usage_by_hour', time: 'hour' },
  minute: { name: 'usage_by_minute', time: 'minute' },
  event: { name: 'usage_events', time: 'time' },
} as const;

/** Columns of the totals that events do not have, or have with another meaning. */
const columnsOfEvents: Readonly<Record<string, string>> = {
  reserved_units: `if(reservation = 'open', units, 0) AS reserved_units`,
  reserved: `mapFilter((name, amount) -> reservation = 'open', quantities) AS reserved`,
};

/**
 * Returns a subquery with the rows of adjoining spans, in order of time, from all levels that the spans need. `columns` are
 * columns of the totals. The subquery adds the column `at`, the start of the row's minute, hour or day. All events of a row are in
 * the same span.
 */
export function usageRows(
  spans: readonly OpenSpan[],
  { columns, where }: { readonly columns: string; readonly where: string },
): { readonly sql: string; readonly params: Params } {
  const params: Record<string, number> = {};
  const selects = partsOfSpans(spans).map(({ level, startMs, endMs }, index) => {
    const { name, time } = tables[level];
    params[`from${index}`] = startMs;
    if (endMs !== null) params[`to${index}`] = endMs;
    const at = level === 'day' ? `toDateTime(day, 'UTC')` : time;
    const range = levelRange(level, `from${index}`, endMs === null ? null : `to${index}`);
    const selected = columns
      .split(', ')
      .map((name) => (level === 'event' ? (columnsOfEvents[name] ?? name) : name));
    return `SELECT ${selected.join(', ')}, ${at} AS at FROM ${name} WHERE ${range} AND ${where}`;
  });
  return { sql: selects.join('\nUNION ALL\n'), params };
}

/**
 * Returns the SQL condition that a row of a level is within a span. `from` and `to` are names of parameters in Unix milliseconds.
 */
export function levelRange(level: UsageLevel, from: string, to: string | null): string {
  const instant = (name: string): string => `fromUnixTimestamp64Milli({${name}:Int64}, 'UTC')`;
  const bound = (name: string): string => {
    if (level === 'event') return instant(name);
    return level === 'day' ? `toDate(${instant(name)})` : `toDateTime(${instant(name)}, 'UTC')`;
  };
  const { time } = tables[level];
  return `${time} >= ${bound(from)}${to === null ? '' : ` AND ${time} < ${bound(to)}`}`;
}
