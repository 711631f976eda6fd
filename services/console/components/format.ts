import type { Amount } from '../../../shared/domain/amount.ts';
import { approximateMoney } from '../../../shared/domain/money.ts';
import type { Money } from '../../../shared/domain/money.ts';
import { requestsName } from '../../../shared/domain/usage/quantity.ts';
import type { Quantity } from '../../../shared/domain/usage/quantity.ts';

/** Formats of numbers, money and names for display. Formats of times and durations are in `shared/domain/time`. */

const amountFormat = new Intl.NumberFormat('en-US', { maximumFractionDigits: 1 });

/** A number for display; `unknown` if the sum is unknown. */
export function count(value: Amount): string {
  return value === null ? 'unknown' : amountFormat.format(value);
}

/** A number with its noun: `1 request`, `2 requests`. */
export function counted(value: Amount, singular: string, plural = `${singular}s`): string {
  return `${count(value)} ${value === 1 ? singular : plural}`;
}

const decimalFormat = new Intl.NumberFormat('en-US', { maximumFractionDigits: 6 });

/** An amount of what a limit counts, from its smallest units: `85`, or with the name of another quantity `1.25 usd`. */
export function quantityText(quantities: ReadonlyMap<string, Quantity>, of: string, minor: number): string {
  if (of === requestsName) return count(minor);
  return `${decimalFormat.format(minor / 10 ** (quantities.get(of)?.decimals ?? 0))} ${of}`;
}

/**
 * Money with the currency of the policy: `12.35 EUR`. Small amounts have more decimals, so that they are not displayed
 * as zero.
 */
export function money(amount: Money | number, currency: string | null): string {
  const value = typeof amount === 'bigint' ? approximateMoney(amount) : amount;
  const digits =
    value === 0 || Math.abs(value) >= 1 ? 2 : Math.min(8, 2 - Math.floor(Math.log10(Math.abs(value))));
  const text = value.toLocaleString('en-US', {
    minimumFractionDigits: digits,
    maximumFractionDigits: digits,
  });
  return currency === null ? text : `${text} ${currency}`;
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
