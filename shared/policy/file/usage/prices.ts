import { Type } from 'typebox';
import { moneyOf, moneyText } from '../../../domain/money.ts';
import { compareSpecificity, matchesSameModel } from '../../../domain/usage/model-pattern.ts';
import type { ModelPrices, PriceList } from '../../../domain/usage/prices.ts';
import { closed } from '../schema-parts.ts';
import type { Violations } from '../violations.ts';
import { unknownMeasure } from './quantities.ts';

const pricesMax = 500;

/** The keys of an entry besides `model` and `per` are measures. */
export interface PriceFile {
  readonly model: string;
  readonly per?: 1 | 1_000 | 1_000_000;
  readonly [measure: string]: number | string;
}

const priceFile = Type.Unsafe<PriceFile>(
  Type.Object(
    {
      model: Type.String({
        pattern: '^[\\u0021-\\u007e]{1,128}$',
        description: 'the name of a model, in which each "*" is any text, e.g. "gpt-4o*"; "*" is the default',
      }),
      per: Type.Optional(
        Type.Enum([1, 1_000, 1_000_000] as const, {
          description: '1, 1000 or 1000000: for how many tokens the prices are',
        }),
      ),
    },
    {
      ...closed,
      patternProperties: {
        '^(?!(model|per)$)[a-z][a-z0-9_]{0,47}$': {
          type: 'number',
          minimum: 0,
          maximum: 1_000_000,
          description: 'money, from 0 to 1000000',
        },
      },
      description: 'prices of a model: { model, per?, input_tokens?, output_tokens?, … }',
    },
  ),
);

/** The value of `prices` in a policy file. */
export const pricesFile = Type.Array(priceFile, {
  minItems: 1,
  maxItems: pricesMax,
  description: `a list of up to ${pricesMax} prices by model`,
});

export function checkPrices(
  file: readonly PriceFile[] | undefined,
  knownMeasures: ReadonlySet<string>,
  violations: Violations,
): void {
  for (const [index, entry] of (file ?? []).entries()) {
    const at = ['prices', index];
    for (const [measure, price] of measurePrices(entry)) {
      if (!knownMeasures.has(measure)) {
        violations.add([...at, measure], unknownMeasure(measure, knownMeasures), 'key');
      } else if (!isExact(price, entry.per ?? 1)) {
        violations.add([...at, measure], 'has more than 12 decimals for a single token; round it');
      }
    }
    checkOrder(file ?? [], index, violations);
  }
}

/** For each model, exactly one entry must be the most specific one. */
function checkOrder(file: readonly PriceFile[], index: number, violations: Violations): void {
  const { model } = file[index] ?? { model: '' };
  const rival = file
    .slice(0, index)
    .findIndex(
      (other) => compareSpecificity(other.model, model) === 0 && matchesSameModel(other.model, model),
    );
  if (rival < 0) return;
  const other = file[rival]?.model ?? '';
  violations.add(
    ['prices', index, 'model'],
    other === model
      ? `"${model}" is prices[${rival}] again; remove one of the two`
      : `"${model}" and "${other}" (prices[${rival}]) are equally specific and match the same models; write more of the name in one of them`,
  );
}

/** Prices in the order in which a model is compared with them. */
export function compilePrices(file: readonly PriceFile[] = []): PriceList {
  return file
    .map((entry): ModelPrices => {
      const per = BigInt(entry.per ?? 1);
      const prices = measurePrices(entry).map(([measure, price]) => [measure, moneyOf(price) / per] as const);
      return { model: entry.model, perMeasure: new Map(prices) };
    })
    .toSorted((a, b) => compareSpecificity(a.model, b.model));
}

function measurePrices(entry: PriceFile): [string, number][] {
  return Object.entries(entry).flatMap(([key, value]): [string, number][] =>
    key === 'per' || typeof value === 'string' ? [] : [[key, value]],
  );
}

/** Whether the price of one token is a whole number of 10⁻¹². */
function isExact(price: number, per: number): boolean {
  const money = moneyOf(price);
  return Number(moneyText(money)) === price && money % BigInt(per) === 0n;
}
