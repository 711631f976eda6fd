import { Type } from 'typebox';

/** Longest name of a model, as in the event contract. */
const modelLengthMax = 128;

export const modelSchema = Type.String({
  minLength: 1,
  maxLength: modelLengthMax,
  description: 'Model of the call, from which its cost is computed.',
});

/** Usage by name: measures, or amounts of quantities. */
export const usageSchema = Type.Record(
  Type.String({ pattern: '^[a-z][a-z0-9_]{0,47}$' }),
  Type.Number({ minimum: 0 }),
  {
    additionalProperties: false,
    maxProperties: 16,
    description:
      'Measures of the policy by name (input_tokens, output_tokens), or amounts of its quantities in their own unit (usd).',
    examples: [{ input_tokens: 120, output_tokens: 40 }],
  },
);

/** Amounts by quantity, in the unit of the quantity. */
export const amountsSchema = Type.Record(
  Type.String(),
  Type.Union([
    Type.Number(),
    Type.String({ description: 'A decimal, where a number cannot hold its digits.' }),
  ]),
  { description: 'Amounts by quantity, in the unit of the quantity.' },
);
