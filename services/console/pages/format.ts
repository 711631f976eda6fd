import type { Amount } from '../../../shared/domain/amount.ts';
import { approximateMoney } from '../../../shared/domain/money.ts';
import type { Money } from '../../../shared/domain/money.ts';

/** Numbers, money, times and names as people read them. Times are UTC: quotas end at midnight UTC. */

const whole = new Intl.NumberFormat('en-US', { maximumFractionDigits: 1 });
const stampParts = new Intl.DateTimeFormat('en-GB', {
  timeZone: 'UTC',
  day: 'numeric',
  month: 'short',
  year: 'numeric',
  hour: '2-digit',
  minute: '2-digit',
  second: '2-digit',
});

/** `unknown` for a sum that is no number. */
export function count(value: Amount): string {
  return value === null ? 'unknown' : whole.format(value);
}

/** Money in the policy's currency, which has no name; small sums keep the digits that say something. */
export function money(amount: Money | number): string {
  const value = typeof amount === 'bigint' ? approximateMoney(amount) : amount;
  if (value === 0) return '0.00';
  const digits = Math.abs(value) >= 1 ? 2 : Math.min(8, 2 - Math.floor(Math.log10(Math.abs(value))));
  return value.toFixed(digits);
}

export function share(part: number, all: number): number {
  return all <= 0 ? (part > 0 ? 1 : 0) : part / all;
}

export function percent(value: number): string {
  return `${String(Math.round(value * 1000) / 10)} %`;
}

/** `21 Nov 2026, 11:04:09 UTC` */
export function stamp(time: string | number): string {
  const at = new Date(time);
  return Number.isNaN(at.getTime()) ? String(time) : `${stampParts.format(at)} UTC`;
}

/** `7 s`, `4 min`, `3 h 20 min`, `6 days`. */
export function span(ms: number): string {
  const seconds = Math.max(0, Math.ceil(ms / 1000));
  if (seconds < 60) return `${seconds} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return seconds % 60 === 0 ? `${minutes} min` : `${minutes} min ${seconds % 60} s`;
  const hours = Math.floor(minutes / 60);
  if (hours < 48) return minutes % 60 === 0 ? `${hours} h` : `${hours} h ${minutes % 60} min`;
  const days = Math.floor(hours / 24);
  return hours % 24 === 0 ? `${days} days` : `${days} days ${hours % 24} h`;
}

/** A window as people say it: `minute`, `day`, `10 s`, `30 days`. */
export function windowName(windowMs: number): string {
  const named: Readonly<Record<number, string>> = {
    1_000: 'second',
    60_000: 'minute',
    3_600_000: 'hour',
    86_400_000: 'day',
    604_800_000: 'week',
    2_592_000_000: 'month',
  };
  return named[windowMs] ?? span(windowMs);
}

/** `agent-runs` → `Agent runs`. */
export function title(name: string): string {
  const words = name.replace(/[-_]+/g, ' ');
  return words.charAt(0).toUpperCase() + words.slice(1);
}
