import { historyDimensions } from '../../../../shared/clickhouse/queries/portal/usage-history.ts';
import type {
  HistoryDimension,
  HistoryQuery,
} from '../../../../shared/clickhouse/queries/portal/usage-history.ts';
import { dateAt, periodAt } from '../../../../shared/domain/time/calendar.ts';

/** The time that the address of a history requests. */
export interface WantedSpan {
  readonly span: HistorySpan | 'custom';
  /** First and last date of the span in the tenant's zone, `YYYY-MM-DD`. Dates of no possible span are kept as entered. */
  readonly dates: { readonly from: string; readonly to: string };
  /** Whether the chart also shows the time of the same length before the span. */
  readonly compare: boolean;
}

/** What the address of the history of requests requests. */
export interface WantedHistory extends WantedSpan {
  readonly metric: HistoryMetric;
  readonly by: HistoryDimension | null;
  readonly query: HistoryQuery;
  /** The query for the time before the span. */
  readonly previous: HistoryQuery;
}

export const historySpans = {
  '1h': '1 hour',
  '6h': '6 hours',
  '24h': '24 hours',
  '7d': '7 days',
  '30d': '30 days',
  '90d': '90 days',
} as const;

export type HistorySpan = keyof typeof historySpans;

export const historyMetrics = {
  requests: 'Requests',
  limited: 'Refused',
  errors: 'Server errors',
  latency: 'Latency, 95th percentile',
  units: 'Units',
  cost: 'Cost',
} as const;

export type HistoryMetric = keyof typeof historyMetrics;

const minuteMs = 60_000;
const hourMs = 60 * minuteMs;
const dayMs = 24 * hourMs;
const lengthsMs: Readonly<Record<HistorySpan, number>> = {
  '1h': hourMs,
  '6h': 6 * hourMs,
  '24h': dayMs,
  '7d': 7 * dayMs,
  '30d': 30 * dayMs,
  '90d': 90 * dayMs,
};
const customLengthMsMax = 92 * dayMs;

/** Reads the address of the history of requests. Unknown values are replaced by the defaults. */
export function wantedHistory(fields: Fields, zone: string, nowMs: number): WantedHistory {
  const { bounds, ...wanted } = wantedSpan(fields, zone, nowMs, stepOf);
  const { startMs, endMs, stepMs } = bounds;
  const by = historyDimensions.find((name) => name === fields['by']) ?? null;
  const filter = Object.fromEntries(
    historyDimensions.flatMap((name) => {
      const value = (fields[name] ?? '').trim();
      return value === '' ? [] : [[name, value]];
    }),
  );
  const query: HistoryQuery = { startMs, endMs, stepMs, zone, by, filter };
  return {
    ...wanted,
    metric: isKey(historyMetrics, fields['metric']) ? fields['metric'] : 'requests',
    by,
    query,
    previous: { ...query, by: null, ...previousBounds(bounds, zone) },
  };
}

export type Fields = Readonly<Record<string, string | undefined>>;

export interface SpanBounds {
  readonly startMs: number;
  readonly endMs: number;
  /** Length of the intervals. */
  readonly stepMs: number;
}

/** Reads the time in the address. `stepOf` returns the length of the intervals of a span. */
export function wantedSpan(
  fields: Fields,
  zone: string,
  nowMs: number,
  stepOf: (lengthMs: number) => number,
): WantedSpan & { readonly bounds: SpanBounds } {
  const custom =
    fields['span'] === 'custom' ? customSpan(fields['from'] ?? '', fields['to'] ?? '', zone) : null;
  const span = custom !== null ? 'custom' : isKey(historySpans, fields['span']) ? fields['span'] : '30d';
  const lengthMs = span === 'custom' ? (custom?.endMs ?? 0) - (custom?.startMs ?? 0) : lengthsMs[span];
  const stepMs = stepOf(lengthMs);
  const isRefused = custom === null && fields['span'] === 'custom';
  const bounds = { ...(custom ?? spanBefore(nowMs, lengthMs, stepMs, zone)), stepMs };
  return {
    span,
    dates: {
      from: isRefused ? (fields['from'] ?? '') : dateAt(zone, bounds.startMs),
      to: isRefused ? (fields['to'] ?? '') : dateAt(zone, bounds.endMs - 1),
    },
    compare: fields['compare'] === '1',
    bounds,
  };
}

/** Starts of the intervals of a query, Unix milliseconds. */
export function intervalsOf({ startMs, endMs, stepMs, zone }: HistoryQuery): readonly number[] {
  const starts: number[] = [];
  let atMs = startMs;
  while (atMs < endMs) {
    starts.push(atMs);
    // Days have 23 to 25 hours.
    atMs = stepMs >= dayMs ? periodAt('day', zone === 'UTC' ? null : zone, atMs).endMs : atMs + stepMs;
  }
  return starts;
}

function stepOf(lengthMs: number): number {
  if (lengthMs <= hourMs) return minuteMs;
  if (lengthMs <= 6 * hourMs) return 5 * minuteMs;
  if (lengthMs <= 2 * dayMs) return 15 * minuteMs;
  return lengthMs <= 8 * dayMs ? hourMs : dayMs;
}

/** The span that ends with the current interval. Spans of days begin at a midnight of the zone. */
function spanBefore(
  nowMs: number,
  lengthMs: number,
  stepMs: number,
  zone: string,
): { readonly startMs: number; readonly endMs: number } {
  if (stepMs < dayMs) {
    const endMs = Math.floor(nowMs / stepMs) * stepMs + stepMs;
    return { startMs: endMs - lengthMs, endMs };
  }
  const calendarZone = zone === 'UTC' ? null : zone;
  const { startMs, endMs } = periodAt('day', calendarZone, nowMs);
  // Noon of the first day, which a change of the clocks does not move to another date.
  const noonMs = startMs + dayMs / 2 - (lengthMs - dayMs);
  return { startMs: periodAt('day', calendarZone, noonMs).startMs, endMs };
}

/** The span of the same length before a span. A span of days gets as many days of the zone, which have 23 to 25 hours. */
export function previousBounds(
  { startMs, endMs, stepMs }: SpanBounds,
  zone: string,
): { readonly startMs: number; readonly endMs: number } {
  if (stepMs < dayMs) return { startMs: startMs - (endMs - startMs), endMs: startMs };
  const days = Math.round((endMs - startMs) / dayMs);
  // Noon of the first day, which a change of the clocks does not move to another date.
  const noonMs = startMs + dayMs / 2 - days * dayMs;
  return { startMs: periodAt('day', zone === 'UTC' ? null : zone, noonMs).startMs, endMs: startMs };
}

/** The span of two dates, both included; null if they are no dates or the span is too long. */
function customSpan(
  from: string,
  to: string,
  zone: string,
): { readonly startMs: number; readonly endMs: number } | null {
  const [first, last] = [dayOf(from, zone), dayOf(to, zone)];
  if (first === null || last === null) return null;
  const span = { startMs: first.startMs, endMs: last.endMs };
  return span.endMs > span.startMs && span.endMs - span.startMs <= customLengthMsMax ? span : null;
}

function dayOf(date: string, zone: string): { readonly startMs: number; readonly endMs: number } | null {
  const noonMs = /^\d{4}-\d\d-\d\d$/.test(date) ? Date.parse(`${date}T12:00:00Z`) : Number.NaN;
  if (Number.isNaN(noonMs)) return null;
  // Zones are up to 14 hours away from UTC, so noon in UTC can be on the date before or after.
  for (const shiftMs of [0, -12 * hourMs, 12 * hourMs])
    if (dateAt(zone, noonMs + shiftMs) === date)
      return periodAt('day', zone === 'UTC' ? null : zone, noonMs + shiftMs);
  return null;
}

function isKey<Names extends object>(names: Names, name: string | undefined): name is keyof Names & string {
  return name !== undefined && Object.hasOwn(names, name);
}
