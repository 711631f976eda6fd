import { Type } from 'typebox';
import type { Static } from 'typebox';
import type { MeterQuery } from '../../../../shared/clickhouse/queries/meters.ts';
import { isTimeZone } from '../../../../shared/domain/time/calendar.ts';
import { instantExample, readInstant } from '../../../../shared/domain/time/instant.ts';
import { meterWindows } from '../../../../shared/domain/meter.ts';
import type { MeterDefinition } from '../../../../shared/domain/meter.ts';

export const meterQuerySchema = Type.Object(
  {
    from: Type.String({ description: 'RFC 3339; events of this instant belong to the answer.' }),
    to: Type.Optional(
      Type.String({ description: 'RFC 3339; events of this instant do not belong to it. Absent: now.' }),
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
    format: Type.Optional(
      Type.Enum(['json', 'csv'] as const, { description: 'Absent: what Accept prefers, else json.' }),
    ),
    tenant_id: Type.Optional(Type.String({ description: 'For services: whose events.' })),
  },
  { additionalProperties: false },
);

export type MeterQueryText = Static<typeof meterQuerySchema>;

export interface MeterCaller {
  readonly tenantId: string;
  /** As asked for, else of the tenant's record. */
  readonly timeZone: string;
  readonly nowMs: number;
}

/** ClickHouse's times end in 2299; nobody means a year before 2000. */
const earliestMs = Date.UTC(2000, 0, 1);
const latestMs = Date.UTC(2200, 0, 1);
const aheadMsMax = 366 * 86_400_000;

/** Reads a query as its caller wrote it, or says in a sentence what to write instead. */
export function meterQueryOf(
  { name, groupBy: known }: MeterDefinition,
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
  const unknown = groupBy.find((field) => !known.includes(field));
  if (unknown !== undefined) {
    return known.length === 0
      ? `group_by: the meter ${name} has no groups; leave group_by out.`
      : `group_by: the meter ${name} has no group "${unknown.slice(0, 128)}"; its groups are: ${known.join(', ')}.`;
  }
  const window = text.window ?? null;
  // Windows are named whole, and no event is that late: it bounds the windows that have to be found.
  const endMs = window === null ? toMs : Math.max(fromMs + 1, Math.min(toMs, nowMs + aheadMsMax));
  return { tenantId, fromMs, toMs: endMs, window, timeZone, groupBy, filter: {} };
}

function timeOf(text: string): number | null {
  const timeMs = readInstant(text);
  return timeMs !== null && timeMs >= earliestMs && timeMs < latestMs ? timeMs : null;
}

/** A `+` that was not escaped arrives as a space, which looks right to whoever wrote it. */
function badTime(field: string, text: string): string {
  const advice = / \d{2}:\d{2}$/.test(text) ? '; write the + of an offset as %2B' : '';
  return `${field} must be an RFC 3339 time from the years 2000 to 2199, e.g. ${instantExample}${advice}.`;
}

/** Each field once, in the order in which they are asked for. */
function groupsOf(given: string | readonly string[] | undefined): string[] {
  const fields = [given ?? []].flat().flatMap((part) => part.split(','));
  return [...new Set(fields.filter((field) => field !== ''))];
}
