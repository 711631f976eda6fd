import type { Amount } from '../../../shared/domain/amount.ts';
import { approximateMoney } from '../../../shared/domain/money.ts';
import type { Money } from '../../../shared/domain/money.ts';

/** Formats of numbers, money and names for display. Formats of times and durations are in `shared/domain/time`. */

const amountFormat = new Intl.NumberFormat('en-US', { maximumFractionDigits: 1 });

/** A number for display; `unknown` if the sum is unknown. */
export function count(value: Amount): string {
  return value === null ? 'unknown' : amountFormat.format(value);
}

/**
 * Money in the currency of the policy's prices, without the name of the currency, which the policy does not state.
 * Small amounts have more decimals, so that they are not displayed as zero.
 */
export function money(amount: Money | number): string {
  const value = typeof amount === 'bigint' ? approximateMoney(amount) : amount;
  if (value === 0) return '0.00';
  const digits = Math.abs(value) >= 1 ? 2 : Math.min(8, 2 - Math.floor(Math.log10(Math.abs(value))));
  return value.toFixed(digits);
}

/** A part divided by its total. If the total is 0, the result is 1 for a part above 0, otherwise 0. */
export function share(part: number, total: number): number {
  return total <= 0 ? (part > 0 ? 1 : 0) : part / total;
}

export function percent(value: number): string {
  return `${String(Math.round(value * 1000) / 10)} %`;
}

/** Name of a limit for display: `agent-runs` → `Agent runs`. */
export function title(name: string): string {
  const words = name.replace(/[-_]+/g, ' ');
  return words.charAt(0).toUpperCase() + words.slice(1);
}
