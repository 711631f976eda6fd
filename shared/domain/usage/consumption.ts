import { addAmounts } from '../amount.ts';
import type { Amount } from '../amount.ts';
import type { Money } from '../money.ts';
import { requestsName, smallestUnits } from './quantity.ts';
import type { Quantity } from './quantity.ts';

/** What events consumed: units, and amounts of other quantities as exact decimals. */
export interface Consumption {
  readonly units: Amount;
  readonly quantities: Readonly<Record<string, Money>>;
  /** The part of `units` and of `quantities` that belongs to open reservations. */
  readonly reserved_units: Amount;
  readonly reserved: Readonly<Record<string, Money>>;
}

/** What a limit counts, in its smallest units. */
export interface CountedAmount {
  readonly consumed: Amount;
  /** The part of `consumed` that belongs to open reservations. */
  readonly reserved: Amount;
}

export const nothingCounted: CountedAmount = { consumed: 0, reserved: 0 };

/** What a limit of this quantity counts of a consumption. */
export function countedAmount(consumption: Consumption, quantity: CountedQuantity): CountedAmount {
  const { units, quantities, reserved_units: reservedUnits, reserved } = consumption;
  if (quantity.name === requestsName) return { consumed: units, reserved: reservedUnits };
  return {
    consumed: smallestUnits(quantities[quantity.name] ?? 0n, quantity),
    reserved: smallestUnits(reserved[quantity.name] ?? 0n, quantity),
  };
}

export function addCounted(a: CountedAmount, b: CountedAmount): CountedAmount {
  return {
    consumed: addAmounts(a.consumed, b.consumed),
    reserved: addAmounts(a.reserved, b.reserved),
  };
}

type CountedQuantity = Pick<Quantity, 'name' | 'decimals'>;

/** Returns the quantity that a limit counts. Its decimals are 0 if the policy does not define it. */
export function quantityOf(quantities: ReadonlyMap<string, Quantity>, name: string): CountedQuantity {
  return { name, decimals: quantities.get(name)?.decimals ?? 0 };
}
