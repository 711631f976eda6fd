import { moneyDecimals, moneyText } from '../money.ts';
import type { Money } from '../money.ts';

/**
 * What a limit counts: `requests` (units of calls), or a quantity that the policy defines, such as tokens or money.
 * In the process and in Redis, an amount of a quantity is a whole number of its smallest unit: with 6 decimals, 1 usd
 * is 1,000,000. Outside (events, HTTP, ClickHouse), an amount is a decimal in the quantity's own unit.
 */
export interface Quantity {
  readonly name: string;
  /** 0 to 12. */
  readonly decimals: number;
  /** `sum`: the sum of `measures` of a call. `cost`: the cost of a call by the policy's prices. */
  readonly kind: 'requests' | 'sum' | 'cost';
  /** The measures that are added; empty for other kinds. */
  readonly measures: readonly string[];
}

/** Amounts of one call by name of the quantity, in smallest units, without `requests`. */
export type Amounts = Readonly<Record<string, number>>;

/** Name of the quantity that counts units of calls. A policy cannot define a quantity of this name. */
export const requestsName = 'requests';

/** Largest amount of one call, and largest amount that a quota counts: Redis stores amounts in 6 bytes. */
export const amountMax = 2 ** 48 - 1;

/**
 * Largest sum of the limit and the burst of a sliding window. Redis stores sums in 5 bytes, which leaves room for amounts
 * above the limit that a settlement adds.
 */
export const slidingSumMax = 1_000_000_000_000;

/**
 * Reads an amount in the quantity's own unit as smallest units. Null if the amount is negative, larger than
 * `amountMax` or has more decimals than the quantity.
 */
export function minorUnits({ decimals }: Pick<Quantity, 'decimals'>, amount: number): number | null {
  const minor = Math.round(amount * 10 ** decimals);
  // The quotient is the double nearest to the decimal, so it equals `amount` only if no digit was lost.
  return minor >= 0 && minor <= amountMax && minor / 10 ** decimals === amount ? minor : null;
}

/** Formats smallest units as a decimal in the quantity's own unit without trailing zeros: `0.000075`, `12`. */
export function amountText({ decimals }: Pick<Quantity, 'decimals'>, minor: number): string {
  return moneyText(BigInt(minor) * 10n ** BigInt(moneyDecimals - decimals));
}

/**
 * Amounts in the units of their quantities, as events and responses state them: a number, or a decimal text if a number
 * cannot hold all digits. Amounts of a quantity that the policy does not define are left out.
 */
export function decimalAmounts(
  quantities: ReadonlyMap<string, Pick<Quantity, 'decimals'>>,
  amounts: Amounts,
): Record<string, number | string> {
  const decimals: Record<string, number | string> = {};
  for (const [name, minor] of Object.entries(amounts)) {
    const quantity = quantities.get(name);
    if (quantity !== undefined) decimals[name] = decimalAmount(quantity, minor);
  }
  return decimals;
}

/** One amount in the unit of its quantity; see `decimalAmounts`. */
export function decimalAmount(quantity: Pick<Quantity, 'decimals'>, minor: number): number | string {
  const number = minor / 10 ** quantity.decimals;
  return minorUnits(quantity, Math.abs(number)) === Math.abs(minor) ? number : amountText(quantity, minor);
}

/** An exact amount in smallest units, rounded up: the gateway charges each call rounded up. */
export function smallestUnits(amount: Money, { decimals }: Pick<Quantity, 'decimals'>): number {
  const smallest = 10n ** BigInt(moneyDecimals - decimals);
  return Number((amount + smallest - 1n) / smallest);
}
