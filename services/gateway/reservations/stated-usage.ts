import type { Policy } from '../../../shared/domain/policy.ts';
import { moneyDecimals } from '../../../shared/domain/money.ts';
import type { Money } from '../../../shared/domain/money.ts';
import { counted } from '../../../shared/domain/text/counted.ts';
import { isMeasureValue } from '../../../shared/domain/usage/measures.ts';
import type { Measures } from '../../../shared/domain/usage/measures.ts';
import { amountsOf } from '../../../shared/domain/usage/prices.ts';
import type { PricedUsage } from '../../../shared/domain/usage/prices.ts';
import { reserveDefaults } from '../../../shared/domain/usage/usage-reading.ts';
import type { Reserve, ReservationOwner } from './reserved-call.ts';
import { minorUnits } from '../../../shared/domain/usage/quantity.ts';
import type { Quantity } from '../../../shared/domain/usage/quantity.ts';

/** Usage that an application states: `{ "input_tokens": 120, "output_tokens": 40 }` or `{ "usd": 0.02 }`. */
export type StatedUsage = Readonly<Record<string, number>>;

export interface ReadUsage extends PricedUsage {
  readonly measures: Measures;
}

/**
 * Reads stated usage. A name is a quantity of the policy, whose amount is stated in its own unit, or a measure, from
 * which the amounts of the other quantities are computed. Returns a sentence if the usage cannot be read.
 */
export function readStatedUsage(
  policy: Policy,
  model: string | null,
  stated: StatedUsage,
): ReadUsage | string {
  const measures: Record<string, number> = {};
  const amounts: Record<string, number> = {};
  let cost: Money | null = null;
  for (const [name, value] of Object.entries(stated)) {
    const quantity = policy.quantities.get(name);
    if (quantity === undefined) {
      const wrong = wrongMeasure(policy, name, value);
      if (wrong !== null) return wrong;
      measures[name] = value;
      continue;
    }
    const minor = minorUnits(quantity, value);
    if (minor === null)
      return `${name} must be an amount with at most ${counted(quantity.decimals, 'decimal')}.`;
    amounts[name] = minor;
    if (quantity.kind === 'cost') cost = BigInt(minor) * 10n ** BigInt(moneyDecimals - quantity.decimals);
  }
  const isPriced = Object.keys(measures).length > 0 && cost === null && needsPrice(policy);
  const priced = amountsOf(isPriced ? policy : { ...policy, prices: [] }, model, measures);
  if (priced === null) return unpriced(model);
  return { measures, amounts: { ...priced.amounts, ...amounts }, cost: cost ?? priced.cost };
}

/** What an application reserves. */
export interface StatedReserve {
  readonly usage: StatedUsage;
  /** Model from which the cost is computed. */
  readonly model?: string;
  /** Time until the reservation counts as expired if it is not settled; absent: 10 minutes. */
  readonly expiresMs?: number;
}

/** Reads what an application reserves. Returns a sentence if the usage cannot be read. */
export function readStatedReserve(
  policy: Policy,
  stated: StatedReserve,
  owner: ReservationOwner,
): Reserve | string {
  const model = stated.model ?? null;
  const read = readStatedUsage(policy, model, stated.usage);
  if (typeof read === 'string') return read;
  const { amounts, cost } = read;
  return { amounts, cost, model, expiresMs: stated.expiresMs ?? reserveDefaults.expiresMs, owner };
}

/** Why a model has no price, in a sentence. */
export function unpriced(model: string | null): string {
  const name = model === null ? 'A call without a model' : `The model "${model.slice(0, 64)}"`;
  return `${name} has no price here, so its cost cannot be limited: use another model, or add a price to the policy.`;
}

function wrongMeasure(policy: Policy, name: string, value: number): string | null {
  if (!measuresOf(policy).has(name)) {
    const known = [...policy.quantities.keys(), ...measuresOf(policy)].sort().join(', ');
    return `${name} is neither a quantity nor a measure of this policy${known === '' ? '' : `, which has: ${known}`}.`;
  }
  return isMeasureValue(value) ? null : `${name} must be a whole number from 0.`;
}

const measureNames = new WeakMap<Policy, ReadonlySet<string>>();

/** Names of all measures that a quantity adds or that have a price. */
function measuresOf(policy: Policy): ReadonlySet<string> {
  let names = measureNames.get(policy);
  if (names === undefined) {
    const ofQuantities = [...policy.quantities.values()].flatMap(({ measures }) => measures);
    const ofPrices = policy.prices.flatMap(({ perMeasure }) => [...perMeasure.keys()]);
    measureNames.set(policy, (names = new Set([...ofQuantities, ...ofPrices])));
  }
  return names;
}

function needsPrice({ quantities }: { readonly quantities: ReadonlyMap<string, Quantity> }): boolean {
  return [...quantities.values()].some(({ kind }) => kind === 'cost');
}
