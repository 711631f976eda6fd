/**
 * Sum of units that a store returned; null if the sum is unknown. Events are bounded, but a table may hold values
 * older than the bounds, whose sum is not a finite number. An unknown sum is shown as unknown and decides nothing.
 */
export type Amount = number | null;

/** Unknown if either amount is unknown or the sum is not finite. */
export function addAmounts(a: Amount, b: Amount): Amount {
  const sum = a === null || b === null ? Infinity : a + b;
  return Number.isFinite(sum) ? sum : null;
}
