// Goal: Envoy's rate limit calls with quantities check budgets before a call and record the usage of each call once, in full.
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { listenEnvoy } from '../../../../services/gateway/listeners/rls-listener.ts';
import type { EnvoyServer } from '../../../../services/gateway/listeners/rls-listener.ts';
import { uniqueName } from '../../../support/servers.ts';
import { described, rateLimitClient } from '../entrypoints/rls-client.ts';
import type { CallResult, RateLimitClient } from '../entrypoints/rls-client.ts';
import { useBudgets } from './budget-gateway.ts';

const budgets = useBudgets();
let rls: EnvoyServer;
let client: RateLimitClient;
let tenant: string;

beforeAll(async () => {
  rls = await listenEnvoy({
    ...{ enforcer: budgets.gateway.enforcer, host: '127.0.0.1', port: 0, rateLimitWaitMsMax: 3_000 },
  });
  client = rateLimitClient(rls.port);
});
afterAll(async () => {
  client.close();
  await rls.close();
});
beforeEach(() => {
  tenant = uniqueName('acme');
});

type Hits = Readonly<Record<string, number>>;

/** One descriptor for each quantity, as Envoy sends them before a call (hits of 0) and at its end. */
function usage(hits: Hits, entries: Readonly<Record<string, string>> = {}): object[] {
  return Object.entries(hits).map(([quantity, value]) =>
    described({ tenant_id: tenant, quantity, ...entries }, { hits_addend: { value } }),
  );
}

const send = (...descriptors: object[]): Promise<CallResult> => client.call({ descriptors });
const nothing = { tokens: 0, usd: 0 };
/** The decisions and amounts of all events of requests. */
const events = (): unknown[] =>
  budgets.gateway
    .requests()
    .map(({ data: { decision, units, cost, quantities } }) => [decision, units, cost, quantities]);

test('a check without hits charges nothing, and refuses where nothing is left', async () => {
  for (let round = 0; round < 3; round += 1) expect((await send(...usage(nothing))).overall_code).toBe('OK');
  expect(await budgets.left(tenant)).toEqual({ calls: 1000, tokens: 2000, spend: 0.05 });
  expect(events()).toEqual([]);
  await send(...usage({ tokens: 2000, usd: 100 }));
  const refused = await send(...usage(nothing));
  expect(refused.overall_code).toBe('OVER_LIMIT');
  expect(
    refused.statuses.map(({ current_limit: limit, limit_remaining: left }) => [limit?.name, left]),
  ).toEqual([
    ['tokens', 0],
    ['spend', 49_900],
  ]);
  expect(JSON.parse(refused.raw_body.toString())).toMatchObject({ status: 429, quantity: 'tokens' });
  expect(events().at(-1)).toEqual(['limited', 1, 0, undefined]);
});

test('usage at the end of a call is recorded in full above the limit, is never refused, and is one event', async () => {
  for (const hits of [
    { tokens: 1500, usd: 30_000 },
    { tokens: 900, usd: 35_001 },
  ])
    expect(await send(...usage(hits))).toMatchObject({
      overall_code: 'OK',
      statuses: [{ code: 'OK' }, { code: 'OK' }],
    });
  expect(await budgets.left(tenant)).toEqual({ calls: 1000, tokens: 0, spend: 0 });
  expect(events()).toEqual([
    ['allowed', 0, 0.03, { tokens: 1500, usd: 0.03 }],
    ['allowed', 0, 0.035001, { tokens: 900, usd: 0.035001 }],
  ]);
});

test('measures are priced by the model, and a model without a price loses no usage', async () => {
  const measures = { input_tokens: 100, output_tokens: 50 };
  await expect(send(...usage({ input_tokens: 0 }, { model: 'unknown' }))).rejects.toThrow('no price');
  await send(...usage(measures, { model: 'small-1' }));
  await send(...usage(measures, { model: 'unknown' }));
  expect(await budgets.left(tenant)).toEqual({ calls: 1000, tokens: 1700, spend: 0.0497 });
  expect(budgets.gateway.requests().map(({ data }) => [data.model, data.measures, data.quantities])).toEqual([
    ['small-1', measures, { tokens: 150, usd: 0.0003 }],
    ['unknown', measures, { tokens: 150, usd: 0 }],
  ]);
});

test('with a request_id the check counts the request, and the usage joins its event', async () => {
  const request_id = uniqueName('call');
  const checked = await send(
    described({ tenant_id: tenant, request_id, path: '/v1/x' }),
    ...usage(nothing, { request_id }),
  );
  expect(checked.overall_code).toBe('OK');
  expect(await budgets.left(tenant)).toEqual({ calls: 999, tokens: 2000, spend: 0.05 });
  await send(...usage({ tokens: 2500, usd: 70 }, { request_id }));
  expect(await budgets.left(tenant)).toEqual({ calls: 999, tokens: 0, spend: 0.04993 });
  const [event, ...others] = budgets.gateway.requests();
  expect(others).toEqual([]);
  expect(event?.data).toMatchObject({
    units: 1,
    path: '/v1/x',
    reservation: { id: request_id, state: 'open' },
  });
  expect(budgets.amends(event?.id ?? '')).toMatchObject([
    {
      status: 200,
      quantities: { tokens: 2500, usd: 0.00007 },
      cost: 0.00007,
      reservation: { state: 'settled' },
    },
  ]);
});

test('an id that is used for a second call loses no usage and passes no budget', async () => {
  const request_id = uniqueName('call');
  const both = [{ tokens: 1200 }, { tokens: 900 }];
  for (let call = 0; call < both.length; call += 1)
    expect((await send(...usage({ tokens: 0 }, { request_id }))).overall_code).toBe('OK');
  for (const hits of both) await send(...usage(hits, { request_id }));
  expect(await budgets.left(tenant)).toMatchObject({ tokens: 0 });
  expect(events().at(-1)).toMatchObject(['allowed', 0, 0, { tokens: 900 }]);
  expect((await send(...usage({ tokens: 0 }, { request_id }))).overall_code).toBe('OVER_LIMIT');
});

test('calls with one id that end at the same moment lose no usage', async () => {
  for (let round = 0; round < 5; round += 1) {
    const request_id = uniqueName('call');
    expect((await send(...usage({ tokens: 0 }, { request_id }))).overall_code).toBe('OK');
    await Promise.all([100, 70].map((tokens) => send(...usage({ tokens }, { request_id }))));
  }
  expect(await budgets.left(tenant)).toMatchObject({ tokens: 2000 - 5 * 170 });
});

test('a call that used nothing leaves nothing reserved', async () => {
  const request_id = uniqueName('call');
  await send(...usage(nothing, { request_id }));
  await send(...usage(nothing, { request_id }));
  const [event] = budgets.gateway.requests();
  expect(budgets.amends(event?.id ?? '')).toMatchObject([
    { quantities: { tokens: 0, usd: 0 }, reservation: { state: 'settled' } },
  ]);
});

test('a check with a request_id returns its units if another request of the call is refused', async () => {
  const other = uniqueName('globex');
  await send(described({ tenant_id: other }, { hits_addend: { value: 1000 } }));
  const refused = await send(
    ...usage(nothing, { request_id: uniqueName('call') }),
    described({ tenant_id: other }),
  );
  expect(refused.overall_code).toBe('OVER_LIMIT');
  expect(await budgets.left(tenant)).toEqual({ calls: 1000, tokens: 2000, spend: 0.05 });
});

test.each([
  ['an unknown quantity', { quantity: 'pages' }, {}, 'neither a quantity nor a measure'],
  ['negative hits', { quantity: 'tokens' }, { is_negative_hits: true }, 'cannot be negative'],
  [
    'a limit of its own',
    { quantity: 'tokens' },
    { limit: { requests_per_unit: 1, unit: 'HOUR' } },
    'cannot have a limit',
  ],
  ['an id with other characters', { quantity: 'tokens', request_id: 'a b' }, {}, 'request_id may have'],
])('a descriptor with %s is refused with a sentence about it', async (_name, entries, terms, message) => {
  await expect(
    send(described({ tenant_id: tenant, ...entries }, { hits_addend: { value: 1 }, ...terms })),
  ).rejects.toThrow(message);
});
