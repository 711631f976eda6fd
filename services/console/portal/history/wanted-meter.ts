import type { MeterQuery } from '../../../../shared/clickhouse/queries/meters.ts';
import { historyDimensions } from '../../../../shared/clickhouse/queries/portal/usage-history.ts';
import type { MeterDefinition, MeterWindow } from '../../../../shared/domain/meter.ts';
import { calendarIntervals } from '../../../../shared/domain/time/calendar-intervals.ts';
import { previousBounds, wantedSpan } from './wanted-history.ts';
import type { Fields, WantedSpan } from './wanted-history.ts';

type Meters = ReadonlyMap<string, MeterDefinition>;

/** A query of a meter that is divided by at most one group. */
export type MeterSpan = Omit<MeterQuery, 'tenantId'> & { readonly window: MeterWindow };

/** What the address of the history of a meter requests. */
export interface WantedMeter extends WantedSpan {
  readonly definition: MeterDefinition;
  /** Field by which the values are divided, one of the meter's groups. */
  readonly by: string | null;
  readonly query: MeterSpan;
  /** The query for the time before the span. It is not divided. */
  readonly previous: MeterSpan;
}

/** Prefix of a meter's name as the value of `metric`. */
const metricPrefix = 'meter:';
/** Prefix of a group's name in the address: only events with this value of the group are measured. */
const filterPrefix = 'only.';

export const meterMetric = (name: string): string => `${metricPrefix}${name}`;
export const groupFilter = (field: string): string => `${filterPrefix}${field}`;

/** Groups of meters that the history of requests offers, as values of `by` with their labels. */
export function meterGroups(meters: Meters): readonly (readonly [value: string, label: string])[] {
  return [...meters.values()].flatMap(({ name, groupBy }) =>
    groupBy.map((field) => [`${name}.${field}`, `${field} (meter ${name})`] as const),
  );
}

/**
 * Reads the address of a meter's history; null if it requests no meter. `metric=meter:tokens` names the meter, `by=tokens.region`
 * a meter and its group. `by=region` without a metric is the first meter with this group.
 */
export function wantedMeter(fields: Fields, meters: Meters, zone: string, nowMs: number): WantedMeter | null {
  const found = meterOf(fields, meters);
  if (found === null) return null;
  const { definition, by } = found;
  const { bounds, ...wanted } = wantedSpan(fields, zone, nowMs, (lengthMs) => stepsMs[windowOf(lengthMs)]);
  const { startMs: fromMs, endMs: toMs } = bounds;
  const filter = Object.fromEntries(
    definition.groupBy.flatMap((field) => {
      const value = (fields[groupFilter(field)] ?? '').trim();
      return value === '' ? [] : [[field, value]];
    }),
  );
  const window = windowOf(toMs - fromMs);
  const query = { fromMs, toMs, window, timeZone: zone, groupBy: by === null ? [] : [by], filter, top: null };
  const before = previousBounds({ ...bounds, stepMs: stepsMs[window] }, zone);
  const previous = { ...query, groupBy: [], fromMs: before.startMs, toMs: before.endMs };
  return { ...wanted, definition, by, query, previous };
}

function meterOf(
  { metric = '', by = '' }: Fields,
  meters: Meters,
): { readonly definition: MeterDefinition; readonly by: string | null } | null {
  const [, prefix = '', field = ''] = /^([^.]+)\.(.+)$/s.exec(by) ?? [];
  const ofGroup = meters.get(prefix);
  if (ofGroup?.groupBy.includes(field) === true) return { definition: ofGroup, by: field };
  const isUnnamed = metric === '' && !historyDimensions.some((name) => name === by);
  const definition = metric.startsWith(metricPrefix)
    ? meters.get(metric.slice(metricPrefix.length))
    : isUnnamed
      ? [...meters.values()].find(({ groupBy }) => groupBy.includes(by))
      : undefined;
  if (definition === undefined) return null;
  return { definition, by: definition.groupBy.includes(by) ? by : null };
}

const hourMs = 3_600_000;
/** Lengths of windows, for the width of the bars in a chart. */
export const stepsMs: Readonly<Record<MeterWindow, number>> = {
  minute: 60_000,
  hour: hourMs,
  day: 24 * hourMs,
  month: 30 * 24 * hourMs,
};

/** Values of shorter windows cannot always be added up, so a meter has the lengths of windows that it can be queried by. */
function windowOf(lengthMs: number): MeterWindow {
  if (lengthMs <= 6 * hourMs) return 'minute';
  return lengthMs <= 8 * 24 * hourMs ? 'hour' : 'day';
}

/** Starts of the windows of a query, Unix milliseconds. */
export function windowStarts({ window, timeZone, fromMs, toMs }: MeterSpan): readonly number[] {
  const intervals = calendarIntervals(window, timeZone, fromMs, toMs);
  return intervals.flatMap(({ startMs, lengthMs }, index) => {
    const endMs = intervals[index + 1]?.startMs ?? toMs;
    const count = Math.ceil((endMs - startMs) / lengthMs);
    return Array.from({ length: count }, (_, at) => startMs + at * lengthMs);
  });
}
