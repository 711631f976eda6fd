import { Type } from 'typebox';
import type { Static } from 'typebox';
import { requestsName } from '../../../domain/usage/quantity.ts';
import type { Quantity } from '../../../domain/usage/quantity.ts';
import { closed, measureName } from '../schema-parts.ts';
import type { Violations } from '../violations.ts';

/** A check sends one amount of each quantity to Redis. */
const quantitiesMax = 8;
/** With 9 decimals, a sliding window still counts 1,000 of the quantity's own unit. */
const decimalsMax = 9;
const costDecimals = 6;

const quantityFile = Type.Object(
  {
    sum: Type.Optional(
      Type.Array(measureName, {
        minItems: 1,
        maxItems: 16,
        uniqueItems: true,
        description: 'a list of different measures to add, e.g. [input_tokens, output_tokens]',
      }),
    ),
    cost: Type.Optional(Type.Literal(true, { description: 'true: the cost of a call by the prices' })),
    decimals: Type.Optional(
      Type.Integer({
        minimum: 0,
        maximum: decimalsMax,
        description: `the decimals of an amount, a whole number from 0 to ${decimalsMax}`,
      }),
    ),
  },
  { ...closed, description: 'a quantity: { sum: [ … ] }, { cost: true, decimals? }, or {} for one measure' },
);

/** The value of `quantities` in a policy file. */
export const quantitiesFile = Type.Record(Type.String({ pattern: '^[a-z][a-z0-9_]{0,47}$' }), quantityFile, {
  ...closed,
  maxProperties: quantitiesMax,
  description: `a mapping of up to ${quantitiesMax} quantities by name, which have up to 48 lower-case letters, digits or "_"`,
});

type QuantitiesFile = Static<typeof quantitiesFile>;

export function checkQuantities(
  file: QuantitiesFile | undefined,
  hasPrices: boolean,
  knownMeasures: ReadonlySet<string>,
  violations: Violations,
): void {
  for (const [name, { sum, cost, decimals }] of Object.entries(file ?? {})) {
    const at = ['quantities', name];
    if (name === requestsName)
      violations.add(at, 'is reserved: limits without "of" count requests; choose another name', 'key');
    if (sum !== undefined && cost !== undefined) {
      violations.add(at, 'must have only one of sum (of measures) and cost (by prices)');
    }
    if (cost !== undefined && !hasPrices) {
      violations.add(
        [...at, 'cost'],
        'needs prices; add the key "prices" with the prices of your models',
        'key',
      );
    }
    if (cost === undefined && decimals !== undefined && decimals > 0) {
      violations.add(
        [...at, 'decimals'],
        'is allowed with cost: true only; measures are whole numbers',
        'key',
      );
    }
    for (const [index, measure] of (sum ?? []).entries()) {
      if (!knownMeasures.has(measure)) {
        violations.add([...at, 'sum', index], unknownMeasure(measure, knownMeasures));
      }
    }
  }
}

export function unknownMeasure(measure: string, known: ReadonlySet<string>): string {
  const names = [...known].join(', ');
  return `"${measure}" is not one of the measures: ${names}; define it in usage.measures of a route, or as a quantity of this name`;
}

/** Quantities by name, in the order of the file. */
export function compileQuantities(file: QuantitiesFile = {}): ReadonlyMap<string, Quantity> {
  return new Map(
    Object.entries(file).map(([name, { sum, cost, decimals }]): [string, Quantity] => [
      name,
      cost === true
        ? { name, decimals: decimals ?? costDecimals, kind: 'cost', measures: [] }
        : { name, decimals: 0, kind: 'sum', measures: sum ?? [name] },
    ]),
  );
}
