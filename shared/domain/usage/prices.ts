import type { Money } from '../money.ts';
import type { Measures } from './measures.ts';
import { matchesModel } from './model-pattern.ts';
import { amountMax, smallestUnits } from './quantity.ts';
import type { Amounts, Quantity } from './quantity.ts';

/** Prices of the models whose names match a pattern. */
export interface ModelPrices {
  /** Name of a model; each `*` matches any number of characters, also none. */
  readonly model: string;
  /** Price of one of each measure, exact. A measure without a price costs nothing. */
  readonly perMeasure: ReadonlyMap<string, Money>;
}

/** Prices by pattern, the most specific pattern first. */
export type PriceList = readonly ModelPrices[];

/** The parts of a policy that turn measures into amounts. */
export interface Pricing {
  /** By name, without `requests`. */
  readonly quantities: ReadonlyMap<string, Quantity>;
  readonly prices: PriceList;
}

export interface PricedUsage {
  readonly amounts: Amounts;
  /** Exact cost; null if the policy has no prices. */
  readonly cost: Money | null;
}

/**
 * Amounts and cost of a call with these measures. Null if the policy has prices, but none for the model. `model` is null
 * for a call without a model, which only the pattern `*` matches.
 */
export function amountsOf(
  { quantities, prices }: Pricing,
  model: string | null,
  measures: Measures,
): PricedUsage | null {
  const ofModel = prices.length === 0 ? null : priceOfModel(prices, model);
  if (prices.length > 0 && ofModel === null) return null;
  const cost = ofModel === null ? null : costOfUsage(measures, ofModel);
  const amounts: Record<string, number> = {};
  for (const [name, quantity] of quantities) {
    amounts[name] =
      quantity.kind === 'cost'
        ? Math.min(amountMax, smallestUnits(cost ?? 0n, quantity))
        : sumOf(measures, quantity);
  }
  return { amounts, cost };
}

/** Prices of the first, most specific pattern that matches the model; null if none does. */
export function priceOfModel(prices: PriceList, model: string | null): ModelPrices | null {
  return prices.find((entry) => matchesModel(entry.model, model ?? '')) ?? null;
}

/** The exact cost of a call. */
export function costOfUsage(measures: Measures, { perMeasure }: ModelPrices): Money {
  let cost = 0n;
  let pricedParts = 0;
  for (const [name, price] of perMeasure) {
    const count = measures[name] ?? 0;
    if (name === 'input_tokens') continue;
    if (partsOfInput.has(name)) pricedParts += count;
    cost += BigInt(count) * price;
  }
  const input = Math.max(0, (measures['input_tokens'] ?? 0) - pricedParts);
  return cost + BigInt(input) * (perMeasure.get('input_tokens') ?? 0n);
}

/** Parts of the input tokens. A part with a price of its own is not charged at the price of input. */
const partsOfInput = new Set(['cached_input_tokens', 'cache_write_input_tokens']);

function sumOf(measures: Measures, { measures: names }: Quantity): number {
  return Math.min(
    amountMax,
    names.reduce((sum, name) => sum + (measures[name] ?? 0), 0),
  );
}
