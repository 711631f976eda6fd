/**
 * The two properties of a calendar. A calendar is written as text, so that it can be a key of caches: an IANA zone, and
 * if months do not begin on the first, `@` and the day on which they begin, for example `Europe/Berlin@15`. Null is UTC
 * with months that begin on the first.
 */
export interface CalendarParts {
  /** IANA zone; null: UTC. */
  readonly zone: string | null;
  /** 1 to 31. In a shorter month, the last day of the month takes its place. */
  readonly billingDay: number;
}

export const billingDayMax = 31;

/** Parts of the calendar named by a text. */
export function calendarParts(calendar: string | null): CalendarParts {
  if (calendar === null) return { zone: null, billingDay: 1 };
  const at = calendar.indexOf('@');
  if (at === -1) return { zone: calendar, billingDay: 1 };
  return { zone: calendar.slice(0, at), billingDay: Number(calendar.slice(at + 1)) };
}

/** The text of a calendar. Equal calendars have equal texts. */
export function calendarName({ zone, billingDay }: CalendarParts): string | null {
  if (billingDay === 1) return zone === 'UTC' ? null : zone;
  return `${zone ?? 'UTC'}@${billingDay}`;
}
