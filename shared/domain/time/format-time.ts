const formats = new Map<string, Intl.DateTimeFormat>();
const formatsMax = 500;

/**
 * Formats an ISO 8601 time in an IANA time zone: `21 Nov 2026, 11:04:09 UTC`, `21 Nov 2026, 12:04:09 GMT+1`. Returns any
 * other text unchanged.
 */
export function formatTime(time: string | number, zone = 'UTC'): string {
  const at = new Date(time);
  if (Number.isNaN(at.getTime())) return String(time);
  return formatOf(zone).format(at);
}

/** Formats are cached, because creating one takes longer than formatting many times. */
function formatOf(zone: string): Intl.DateTimeFormat {
  let format = formats.get(zone);
  if (format !== undefined) return format;
  format = new Intl.DateTimeFormat('en-GB', {
    timeZone: zone,
    day: 'numeric',
    month: 'short',
    year: 'numeric',
    hour: '2-digit',
    minute: '2-digit',
    second: '2-digit',
    timeZoneName: 'short',
  });
  if (formats.size >= formatsMax) formats.clear();
  formats.set(zone, format);
  return format;
}
