/**
 * A sum of units that ClickHouse returned; null if the sum is unknown. New events are bounded, but a table may hold
 * older values above the bounds, whose sum is not a finite number. Pages show an unknown sum as unknown, and no
 * decision uses it.
 */
export type Amount = number | null;

/** The sum of two amounts; null if either amount is unknown or the sum is not finite. */
export function addAmounts(a: Amount, b: Amount): Amount {
  const sum = a === null || b === null ? Infinity : a + b;
  return Number.isFinite(sum) ? sum : null;
}
