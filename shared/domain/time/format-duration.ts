import type { Limit } from '../limit.ts';
const wordsMs: readonly (readonly [string, number])[] = [
  ['week', 604_800_000],
  ['day', 86_400_000],
  ['hour', 3_600_000],
  ['minute', 60_000],
  ['second', 1_000],
];

const monthMs = 30 * 86_400_000;

/** A duration in words, in the largest unit in which it is a whole number: `1 minute`, `90 seconds`, `2 days`. */
export function durationInWords(durationMs: number): string {
  if (durationMs === monthMs) return '1 month';
  for (const [unit, unitMs] of wordsMs) {
    if (durationMs >= unitMs && durationMs % unitMs === 0) {
      const amount = durationMs / unitMs;
      return `${amount} ${unit}${amount === 1 ? '' : 's'}`;
    }
  }
  return `${durationMs} milliseconds`;
}

/**
 * An exact duration below a second, or a duration rounded up to seconds: `500 ms`, `7 s`, `4 min 10 s`. Use it for
 * settings; a time that is left is rounded up to seconds (`durationForReading`).
 */
export function settingForReading(durationMs: number): string {
  return durationMs < 1000 ? `${durationMs} ms` : durationForReading(durationMs);
}

/** A duration for display, rounded up to seconds: `7 s`, `4 min 10 s`, `3 h 20 min`, `6 days`. */
export function durationForReading(durationMs: number): string {
  const seconds = Math.max(0, Math.ceil(durationMs / 1000));
  if (seconds < 60) return `${seconds} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return seconds % 60 === 0 ? `${minutes} min` : `${minutes} min ${seconds % 60} s`;
  const hours = Math.floor(minutes / 60);
  if (hours < 48) return minutes % 60 === 0 ? `${hours} h` : `${hours} h ${minutes % 60} min`;
  const days = Math.floor(hours / 24);
  return hours % 24 === 0 ? `${days} days` : `${days} days ${hours % 24} h`;
}

/** A window as the denominator of a rate: `minute`, `day`, `10 s`. */
export function windowName(windowMs: number): string {
  if (windowMs === monthMs) return 'month';
  return wordsMs.find(([, unitMs]) => unitMs === windowMs)?.[0] ?? settingForReading(windowMs);
}

/** The time in which a limit counts: `minute`, `calendar day`, or `at the same time`. */
export function windowOfLimit({
  type,
  period,
  windowMs,
}: Pick<Limit, 'type' | 'period' | 'windowMs'>): string {
  if (type === 'concurrent') return 'at the same time';
  return period === null ? windowName(windowMs) : `calendar ${period}`;
}

/** A duration in the format of Prometheus and Alertmanager: `5m`, `15s`, `500ms`. */
export function prometheusDuration(seconds: number): string {
  if (seconds % 60 === 0) return `${seconds / 60}m`;
  return Number.isInteger(seconds) ? `${seconds}s` : `${Math.round(seconds * 1000)}ms`;
}
