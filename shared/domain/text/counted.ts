import type { Amount } from '../amount.ts';

/** Formats of numbers in sentences and on pages. */

const amountFormat = new Intl.NumberFormat('en-US', { maximumFractionDigits: 1 });

/** A number for display; `unknown` if the sum is unknown. */
export function count(value: Amount): string {
  return value === null ? 'unknown' : amountFormat.format(value);
}

/** A number with its noun: `1 request`, `2 requests`. */
export function counted(value: Amount, singular: string, plural = `${singular}s`): string {
  return `${count(value)} ${nounFor(value, singular, plural)}`;
}

/** The form of the noun that agrees with the number, for a number that is written in another format. */
export function nounFor(value: Amount, singular: string, plural = `${singular}s`): string {
  return value === 1 ? singular : plural;
}
