import type { Amount } from '../../../shared/domain/amount.ts';
import { approximateMoney } from '../../../shared/domain/money.ts';
import type { Money } from '../../../shared/domain/money.ts';

/** Numbers, money and names as people read them; times and durations are in `shared/domain/time`. */

const amountFormat = new Intl.NumberFormat('en-US', { maximumFractionDigits: 1 });

/** `unknown` for a sum that is no number. */
export function count(value: Amount): string {
  return value === null ? 'unknown' : amountFormat.format(value);
}

/** Money in the policy's currency, which has no name. Small sums have more decimals, so that they do not read as zero. */
export function money(amount: Money | number): string {
  const value = typeof amount === 'bigint' ? approximateMoney(amount) : amount;
  if (value === 0) return '0.00';
  const digits = Math.abs(value) >= 1 ? 2 : Math.min(8, 2 - Math.floor(Math.log10(Math.abs(value))));
  return value.toFixed(digits);
}

/** The part of the total, 0 to 1; a part of nothing is 1. */
export function share(part: number, total: number): number {
  return total <= 0 ? (part > 0 ? 1 : 0) : part / total;
}

export function percent(value: number): string {
  return `${String(Math.round(value * 1000) / 10)} %`;
}

/** `agent-runs` → `Agent runs`. */
export function title(name: string): string {
  const words = name.replace(/[-_]+/g, ' ');
  return words.charAt(0).toUpperCase() + words.slice(1);
}
