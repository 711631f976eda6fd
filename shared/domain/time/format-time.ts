const timeFormat = new Intl.DateTimeFormat('en-GB', {
  timeZone: 'UTC',
  day: 'numeric',
  month: 'short',
  year: 'numeric',
  hour: '2-digit',
  minute: '2-digit',
  second: '2-digit',
});

/** Formats an ISO 8601 time: `21 Nov 2026, 11:04:09 UTC`. Returns any other text unchanged. */
export function formatTime(time: string | number): string {
  const at = new Date(time);
  return Number.isNaN(at.getTime()) ? String(time) : `${timeFormat.format(at)} UTC`;
}
