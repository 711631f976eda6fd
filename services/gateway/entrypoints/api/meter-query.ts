import { Type } from 'typebox';
import type { Static } from 'typebox';
import type { MeterQuery } from '../../../../shared/clickhouse/queries/meters.ts';
import { isTimeZone } from '../../../../shared/domain/time/calendar.ts';
import { instantExample, readInstant } from '../../../../shared/domain/time/instant.ts';
import { meterWindows } from '../../../../shared/domain/meter.ts';
import type { MeterDefinition } from '../../../../shared/domain/meter.ts';

const topMax = 1_000;

export const meterQuerySchema = Type.Object(
  {
    from: Type.String({ description: 'RFC 3339; events of this instant are included.' }),
    to: Type.Optional(
      Type.String({ description: 'RFC 3339; events of this instant are excluded. Absent: now.' }),
    ),
    window: Type.Optional(
      Type.Enum([...meterWindows], { description: 'One row a window. Absent: one row for the whole span.' }),
    ),
    time_zone: Type.Optional(
      Type.String({
        description: "IANA zone in which windows begin. Absent: that of the tenant's record, else UTC.",
      }),
    ),
    group_by: Type.Optional(
      Type.Union([Type.String(), Type.Array(Type.String())], {
        description: 'Fields of the meter’s group_by, with commas between them or one a parameter.',
      }),
    ),
    filter: Type.Optional(
      Type.Union([Type.String(), Type.Array(Type.String())], {
        description:
          'Only events with this value of a field of the meter’s group_by: field=value, one a parameter; = is written %3D.',
      }),
    ),
    top: Type.Optional(
      Type.Integer({
        minimum: 1,
        maximum: topMax,
        description: 'Only the groups with the largest values over the whole span. Requires group_by.',
      }),
    ),
    format: Type.Optional(
      Type.Enum(['json', 'csv'] as const, { description: 'Absent: what Accept prefers, else json.' }),
    ),
    tenant_id: Type.Optional(Type.String({ description: 'For services: tenant of the events.' })),
  },
  { additionalProperties: false },
);

export type MeterQueryText = Static<typeof meterQuerySchema>;

export interface MeterCaller {
  readonly tenantId: string;
  /** The time zone of the query; if absent, the time zone of the tenant's record. */
  readonly timeZone: string;
  readonly nowMs: number;
}

/** Bounds of the times in a query. ClickHouse's times end in 2299, and a year before 2000 is a typing error. */
const earliestMs = Date.UTC(2000, 0, 1);
const latestMs = Date.UTC(2200, 0, 1);
const aheadMsMax = 366 * 86_400_000;

/** Returns the meter query of a call, or a sentence that describes the violation in its parameters. */
export function meterQueryOf(
  { name, groupBy: definedGroups }: MeterDefinition,
  text: MeterQueryText,
  { tenantId, timeZone, nowMs }: MeterCaller,
): MeterQuery | string {
  const fromMs = timeOf(text.from);
  if (fromMs === null) return badTime('from', text.from);
  const toMs = text.to === undefined ? nowMs : timeOf(text.to);
  if (toMs === null) return badTime('to', text.to ?? '');
  if (fromMs >= toMs) return 'from must be before to, which is now where it is absent.';
  if (!isTimeZone(timeZone)) return 'time_zone must be an IANA time zone, e.g. Europe/Berlin, or UTC.';
  const groupBy = groupsOf(text.group_by);
  const unknown = groupBy.find((field) => !definedGroups.includes(field));
  if (unknown !== undefined) {
    return definedGroups.length === 0
      ? `group_by: the meter ${name} has no groups; omit group_by.`
      : `group_by: the meter ${name} has no group "${unknown.slice(0, 128)}"; its groups are: ${definedGroups.join(', ')}.`;
  }
  const filter = filterOf(text.filter);
  const unfiltered = Object.keys(filter ?? {}).find((field) => !definedGroups.includes(field));
  if (filter === null || unfiltered !== undefined) {
    return `filter must be field=value, with a field of the meter ${name}: ${definedGroups.join(', ') || 'it has none'}.`;
  }
  if (text.top !== undefined && groupBy.length === 0) return 'top requires group_by.';
  const window = text.window ?? null;
  // Windows are computed up to the latest time that an event can have, which bounds their number.
  const endMs = window === null ? toMs : Math.max(fromMs + 1, Math.min(toMs, nowMs + aheadMsMax));
  return { tenantId, fromMs, toMs: endMs, window, timeZone, groupBy, filter, top: text.top ?? null };
}

function timeOf(text: string): number | null {
  const timeMs = readInstant(text);
  return timeMs !== null && timeMs >= earliestMs && timeMs < latestMs ? timeMs : null;
}

/**
 * Returns the message for a time that cannot be read. If a `+` in a URL is not escaped, the server reads a space; the
 * message names this cause, because it is hard to see in the URL.
 */
function badTime(field: string, text: string): string {
  const advice = / \d{2}:\d{2}$/.test(text) ? '; write the + of an offset as %2B' : '';
  return `${field} must be an RFC 3339 time from the years 2000 to 2199, e.g. ${instantExample}${advice}.`;
}

/** Returns the values by field; null if a filter has no `=`. */
function filterOf(filter: string | readonly string[] | undefined): Record<string, string> | null {
  const pairs = [filter ?? []].flat().map((text) => /^([^=]+)=(.*)$/s.exec(text));
  if (pairs.includes(null)) return null;
  return Object.fromEntries(pairs.map((pair) => [pair?.[1] ?? '', pair?.[2] ?? '']));
}

/** Returns each field of `group_by` once, in the order of the query. */
function groupsOf(groupBy: string | readonly string[] | undefined): string[] {
  const fields = [groupBy ?? []].flat().flatMap((part) => part.split(','));
  return [...new Set(fields.filter((field) => field !== ''))];
}
