// Goal: a policy with quantities, prices and usage compiles to amounts in smallest units, or is refused with advice.
import { describe, expect, test } from 'vitest';
import { limitsFor } from '../../../shared/policy/match.ts';
import { policyOf, routeOf, violationsOf } from './text.ts';

const budget = {
  quantities: '\n  tokens: { sum: [input_tokens, output_tokens] }\n  usd: { decimals: 6, cost: true }',
  prices: '\n  - { model: "gpt-4o*", per: 1000000, input_tokens: 0.15, output_tokens: 0.6 }',
  plans: `
  free:
    limits:
      - { name: minute, per: tenant, limit: 60, window: 1m }
      - { name: tokens, of: tokens, per: tenant, limit: 20000, window: 1m, burst: 500 }
      - { name: spend, of: usd, per: tenant, limit: 5.25, window: 1mo, type: quota }`,
  routes: `
  - match: POST /v1/chat/completions
    usage: { format: openai_chat, on_exhausted: cut }
    limits: [{ name: chat, of: tokens, per: user, limit: 900, by_plan: { free: 800 }, window: 1m }]
  - { match: GET /v1/models, limits: [{ name: models, per: user, limit: 9, window: 1m }] }`,
};

const limitOf = (text: string): Record<string, string> => ({
  plans: `\n  free:\n    limits:\n      - ${text}`,
});
const routeWith = (text: string): Record<string, string> => ({
  routes: `\n  - { match: POST /chat, ${text} }`,
});

describe('F1: a policy with budgets', () => {
  const policy = policyOf(budget);
  const query = { plan: null, record: null, nowMs: 0 };
  const names = (method: string, path: string, reserve?: boolean): string[] =>
    limitsFor(policy, {
      ...query,
      route: routeOf(policy, method, path),
      ...(reserve === undefined ? {} : { reserve }),
    }).limits.map(({ name }) => name);

  test('limits have their quantity and count its smallest units', () => {
    expect(policy.plans.get('free')?.limits).toMatchObject([
      { name: 'minute', of: 'requests', limit: 60 },
      { name: 'tokens', of: 'tokens', limit: 20_000, burst: 500 },
      { name: 'spend', of: 'usd', limit: 5_250_000, type: 'quota' },
    ]);
    expect([...policy.quantities.values()]).toEqual([
      { name: 'tokens', decimals: 0, kind: 'sum', measures: ['input_tokens', 'output_tokens'] },
      { name: 'usd', decimals: 6, kind: 'cost', measures: [] },
    ]);
  });

  test('limits of other quantities apply only to routes with usage and to calls that state their amounts', () => {
    expect(names('POST', '/v1/chat/completions')).toEqual(['minute', 'tokens', 'spend', 'chat']);
    expect(names('GET', '/v1/models')).toEqual(['minute', 'models']);
    expect(names('GET', '/v1/models', true)).toEqual(['minute', 'tokens', 'spend', 'models']);
  });

  test('both lists keep their identity, and the limits of the plan come first', () => {
    const route = routeOf(policy, 'GET', '/v1/models');
    for (const reserve of [false, true]) {
      const first = limitsFor(policy, { ...query, route, reserve });
      expect(limitsFor(policy, { ...query, route, reserve }).limits).toBe(first.limits);
      expect(first.limits.slice(0, first.plan.limits.length)).toEqual(first.plan.limits);
    }
  });

  test('a policy without other quantities has one list, so that nothing is compiled twice', () => {
    const plain = policyOf();
    const base = { ...query, route: null };
    expect(limitsFor(plain, { ...base, reserve: true })).toBe(limitsFor(plain, base));
  });

  test("overrides and boosts are in the quantity's own unit", () => {
    const boost = { id: 'b', starts_at: '2026-01-01T00:00:00Z', ends_at: '2027-01-01T00:00:00Z' };
    const record = {
      ...{ tenant_id: 'acme', updated_at: '', updated_by: '' },
      overrides: { spend: 0.29, tokens: 5e12 },
      boosts: [
        { ...boost, limit: 'spend', set_to: 1.000001, reason: 'r', actor: 'a' },
        { ...boost, limit: 'spend', multiply: 2, reason: 'r', actor: 'a' },
      ],
    };
    const spendAt = (nowMs: number) =>
      limitsFor(policy, { ...query, record, route: null, reserve: true, nowMs }).limits.map(
        ({ limit }) => limit,
      );
    expect(spendAt(0)).toEqual([60, 1e12 - 500, 290_000]);
    expect(spendAt(Date.parse('2026-06-01'))).toEqual([60, 1e12 - 500, 1_000_001]);
  });

  test('usage and reserve have defaults', () => {
    const [chat, models] = policy.routes;
    expect(chat?.usage).toEqual({ format: { kind: 'openai_chat' }, onExhausted: 'cut', slice: 500 });
    expect(chat?.reserve).toMatchObject({ bytesPerToken: 3, expiresMs: 600_000 });
    expect(models?.usage).toBeNull();
  });

  test('usage can be read at pointers and in header fields, whose names are in lower case', () => {
    const usageOf = (text: string) => policyOf(routeWith(text)).routes[0];
    const json = usageOf(
      'usage: { format: json, model: /m, response_model: /model, measures: { images: [/a, /b], output_tokens: /c } }, reserve: { images: 2, expires: 1m, part_tokens: { image: 7 } }',
    );
    expect(json?.usage?.format).toEqual({
      kind: 'json',
      measures: { images: ['/a', '/b'], output_tokens: ['/c'] },
      requestModel: '/m',
      responseModel: '/model',
    });
    expect(json?.reserve).toMatchObject({
      expiresMs: 60_000,
      reserve: { images: 2 },
      partTokens: { image: 7, audio: 2_000 },
    });
    expect(usageOf('usage: { format: header, measures: { units: X-Units } }')?.usage?.format).toEqual({
      kind: 'header',
      measures: { units: 'x-units' },
      requestModel: null,
    });
  });
});

const priceOf = (text: string): Record<string, string> => ({ prices: `\n  - ${text}` });

const refused: readonly (readonly [string, Record<string, string>, RegExp])[] = [
  [
    'an unknown quantity',
    { ...budget, ...limitOf('{ name: a, of: token, per: tenant, limit: 1, window: 1m }') },
    /:7:24: plans\.free\.limits\[0\]\.of: "token" is not one of the quantities: requests, tokens, usd; define it under/,
  ],
  [
    'a limit with more decimals than the quantity',
    { ...budget, ...limitOf('{ name: a, of: usd, per: tenant, limit: 0.0000005, window: 1m }') },
    /limit: is 5e-7, but usd has 6 decimals; round it, or raise "decimals" of the quantity/,
  ],
  [
    'a part of a unit',
    limitOf('{ name: a, per: tenant, limit: 1.5, window: 1m }'),
    /limit: is 1\.5, but must be a whole number of units/,
  ],
  [
    'a part of a token for a plan',
    {
      ...budget,
      ...routeWith(
        'limits: [{ name: a, of: tokens, per: ip, limit: 1, by_plan: { free: 0.5 }, window: 1m }]',
      ),
    },
    /by_plan\.free: is 0\.5, but must be a whole number of tokens/,
  ],
  [
    'a sliding limit that Redis cannot count',
    { ...budget, ...limitOf('{ name: a, of: usd, per: tenant, limit: 900000, burst: 200000, window: 1m }') },
    /limit: is too large: limit and burst of a sliding window are at most 1000000 usd together/,
  ],
  [
    'a quota that Redis cannot count',
    { ...budget, ...limitOf('{ name: a, of: usd, per: tenant, limit: 300000000, window: 1d, type: quota }') },
    /limit: is too large: the largest amount is 281474976\.710655 usd/,
  ],
  [
    'a burst that is too large for its window',
    limitOf('{ name: a, per: tenant, limit: 1, burst: 900000000000, window: 365d }'),
    /burst: is too large for the window/,
  ],
  [
    'a concurrent limit of tokens',
    { ...budget, ...limitOf('{ name: a, of: tokens, per: tenant, limit: 1, type: concurrent }') },
    /of: is not allowed with type concurrent/,
  ],
  ['a quantity named requests', { quantities: '{ requests: {} }' }, /quantities\.requests: is reserved/],
  [
    'a quantity with capitals',
    { quantities: '{ Tokens: {} }' },
    /quantities\.Tokens: is not a usable name; use up to 48 lower-case letters, digits or "_"/,
  ],
  ['a cost without prices', { quantities: '{ usd: { cost: true } }' }, /quantities\.usd\.cost: needs prices/],
  [
    'a quantity of both kinds',
    { ...budget, quantities: '{ usd: { cost: true, sum: [input_tokens] } }' },
    /must have only one of sum .* and cost/,
  ],
  [
    'decimals of tokens',
    { quantities: '{ tokens: { sum: [input_tokens], decimals: 2 } }' },
    /decimals: is allowed with cost: true only/,
  ],
  [
    'a misspelt measure in a sum',
    { quantities: '{ tokens: { sum: [inpt_tokens] } }' },
    /sum\[0\]: "inpt_tokens" is not one of the measures: input_tokens, /,
  ],
  [
    'a misspelt measure with a price',
    priceOf('{ model: a, ouput_tokens: 1 }'),
    /prices\[0\]\.ouput_tokens: "ouput_tokens" is not one of the measures/,
  ],
  [
    'a key of prices in capitals',
    priceOf('{ model: a, Per: 1000 }'),
    /Per: is not a known key \(did you mean "per"\?\); remove it or write one of: model, per, or the name of a measure/,
  ],
  [
    'a price that is rounded',
    priceOf('{ model: a, per: 1000000, input_tokens: 0.0000015 }'),
    /input_tokens: has more than 12 decimals for a single token; round it/,
  ],
  ['a price below 0', priceOf('{ model: a, input_tokens: -1 }'), /is -1, but must be money, from 0/],
  [
    'the same model twice',
    { prices: '[{ model: a, input_tokens: 1 }, { model: a, input_tokens: 2 }]' },
    /prices\[1\]\.model: "a" is prices\[0\] again; remove one of the two/,
  ],
  [
    'patterns that are equally specific',
    { prices: '[{ model: "gpt-*", input_tokens: 1 }, { model: "*mini", input_tokens: 2 }]' },
    /prices\[1\]\.model: "\*mini" and "gpt-\*" \(prices\[0\]\) are equally specific and match the same models/,
  ],
  [
    'a reservation without usage',
    routeWith('reserve: { output_tokens: 100 }'),
    /routes\[0\]\.reserve: is allowed with "usage" only; add usage/,
  ],
  [
    'a reservation of an unknown measure',
    routeWith('usage: { format: openai_chat }, reserve: { tokens: 100 }'),
    /reserve\.tokens: "tokens" is not one of the measures/,
  ],
  [
    'a reservation that never ends',
    routeWith('usage: { format: openai_chat }, reserve: { expires: 2d }'),
    /expires: "2d" is out of range; reservations last from 1s to 1d/,
  ],
  [
    'an unknown kind of content',
    routeWith('usage: { format: openai_chat }, reserve: { part_tokens: { video: 1 } }'),
    /part_tokens\.video: is not a known key/,
  ],
  [
    'a cut of responses that have no stream',
    routeWith('usage: { format: openai_embeddings, on_exhausted: cut }'),
    /on_exhausted: cut ends streams, which openai_embeddings does not have; write finish/,
  ],
  [
    'a slice without a cut',
    routeWith('usage: { format: openai_chat, slice: 5 }'),
    /slice: is allowed with on_exhausted: cut only/,
  ],
  [
    'measures of a format that defines them',
    routeWith('usage: { format: openai_chat, measures: { a: /b } }'),
    /measures: is defined by openai_chat; remove it, or use json or header/,
  ],
  ['a format without measures', routeWith('usage: { format: json }'), /usage: needs measures: their places/],
  [
    'a place that is no pointer',
    routeWith('usage: { format: json, measures: { a: usage.total } }'),
    /measures\.a: "usage\.total" is not a JSON pointer; write one like \/usage\/input_tokens/,
  ],
  [
    'a field that is no header',
    routeWith('usage: { format: header, measures: { a: "x y" } }'),
    /"x y" is not a name of a header field; write one like x-input-tokens/,
  ],
  [
    'two fields for a measure',
    routeWith('usage: { format: header, measures: { a: [x-a, x-b] } }'),
    /measures\.a: is a list, but must be the name of one header field/,
  ],
  [
    'an unknown format',
    routeWith('usage: { format: openai }'),
    /format: is "openai", but must be openai_chat, .* json or header/,
  ],
];

describe('an invalid budget is refused with line, field and advice', () => {
  test.each(refused)('%s', (_what, parts, message) => {
    expect(violationsOf(parts).join('\n')).toMatch(message);
  });

  test('usage on a route whose amounts no limit counts is allowed, for reports', () => {
    expect(violationsOf(routeWith('usage: { format: openai_chat }'))).toEqual([]);
  });
});
