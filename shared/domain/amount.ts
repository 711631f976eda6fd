/**
 * Units that a store has added up. Null: not known. Events are bounded, but a table may hold values from before the
 * bounds, and their sum need not be a number. An unknown sum is shown as unknown, and nothing is decided by it.
 */
export type Amount = number | null;

/** Unknown where either is, or where the sum is no number. */
export function addAmounts(a: Amount, b: Amount): Amount {
  const sum = a === null || b === null ? Infinity : a + b;
  return Number.isFinite(sum) ? sum : null;
}
