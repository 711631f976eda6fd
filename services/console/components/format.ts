import { count } from '../../../shared/domain/text/counted.ts';
import { approximateMoney } from '../../../shared/domain/money.ts';
import type { Money } from '../../../shared/domain/money.ts';
import type { Policy } from '../../../shared/domain/policy.ts';
import { requestsName } from '../../../shared/domain/usage/quantity.ts';

/** Formats of numbers, money and names for display. Formats of times and durations are in `shared/domain/time`. */

/** What amounts are counted in: the quantities of the policy, and the currency of its prices. */
export type AmountUnits = Pick<Policy, 'quantities' | 'currency'>;

const decimalFormat = new Intl.NumberFormat('en-US', { maximumFractionDigits: 6 });

/** A number with up to six decimals: `0.0125`. */
export const decimal = (value: number): string => decimalFormat.format(value);

/** An amount of what a limit counts, in its own unit: `85`, `1,200 tokens`, `USD 1.25`. */
export function amountText({ quantities, currency }: AmountUnits, of: string, amount: number): string {
  if (of === requestsName) return count(amount);
  if (quantities.get(of)?.kind === 'cost') return money(amount, currency ?? of);
  return `${decimal(amount)} ${of}`;
}

/** The same for an amount in the smallest units of the quantity; null: unknown. */
export function minorAmountText(units: AmountUnits, of: string, minor: number | null): string {
  if (minor === null) return 'unknown';
  return amountText(units, of, minor / 10 ** (units.quantities.get(of)?.decimals ?? 0));
}

/**
 * Money with the currency of the policy: `EUR 12.35`. Small amounts have more decimals, so that they are not displayed
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
  return currency === null ? text : `${currency} ${text}`;
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
