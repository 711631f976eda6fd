import { describe, expect, test } from 'vitest';
import { eventually, uniqueName } from '../../../support/servers.ts';
import { budgetPolicy, useBudgets } from './budget-gateway.ts';

const budgets = useBudgets();
const decisionOf = (response: Response): string => response.headers.get('x-tollgate-decision') ?? '';

describe('a call whose usage is read', () => {
  test('A4: reserves its estimate before the call, and is settled with what the upstream reports', async () => {
    const tenant = uniqueName('acme');
    const response = await budgets.chat(tenant, { max_tokens: 300 }, 'tokens=20, input=40, cached=10');
    expect(response.status).toBe(200);
    const answer = (await response.json()) as { usage: object };
    expect(answer.usage).toMatchObject({ prompt_tokens: 40, completion_tokens: 20 });
    const settled = await budgets.settled(decisionOf(response));
    expect(settled).toMatchObject({
      status: 200,
      measures: { input_tokens: 40, cached_input_tokens: 10, output_tokens: 20 },
      usage_source: 'reported',
      quantities: { tokens: 60, usd: 0.000115 },
      cost: 0.000115,
      reservation: { state: 'settled', number: 1 },
    });
    const [event] = budgets.gateway.requests();
    expect(event?.data).toMatchObject({ status: 0, model: 'small-1', reservation: { state: 'open' } });
    expect(Number(event?.data.reservation?.reserved['tokens'])).toBeGreaterThan(300);
    expect(await budgets.left(tenant)).toMatchObject({ calls: 999, tokens: 1940, spend: 0.049885 });
  });

  test('A4: a stream has the same bytes as without Tollgate, and is settled with the usage that Tollgate requested', async () => {
    const tenant = uniqueName('acme');
    const response = await budgets.chat(tenant, { stream: true }, 'tokens=12, input=30');
    const text = await response.text();
    expect(text).not.toContain('"usage":{');
    expect(text.endsWith('data: [DONE]\n\n')).toBe(true);
    const settled = await budgets.settled(decisionOf(response));
    expect(settled.measures).toMatchObject({ input_tokens: 30, output_tokens: 12 });
    expect(await budgets.left(tenant)).toMatchObject({ tokens: 1958 });
  });

  test('A4: a client that requests usage in the stream gets it', async () => {
    const response = await budgets.chat(
      uniqueName('acme'),
      { stream: true, stream_options: { include_usage: true } },
      'tokens=12',
    );
    expect(await response.text()).toContain('"completion_tokens":12');
  });

  test('A1: a call whose estimate has no room is refused with the quantity, the amounts in its unit and an honest wait', async () => {
    const tenant = uniqueName('acme');
    const first = await budgets.chat(tenant, { max_tokens: 1500 }, 'tokens=1500, input=40');
    expect(first.status).toBe(200);
    await first.text();
    await budgets.settled(decisionOf(first));
    const refused = await budgets.chat(tenant, { max_tokens: 1500 });
    expect(refused.status).toBe(429);
    const problem = (await refused.json()) as Record<string, unknown>;
    expect(problem).toMatchObject({
      'violated-policies': ['tokens'],
      quantity: 'tokens',
      limit: 2000,
      remaining: 460,
      detail: expect.stringMatching(
        /^2000 tokens per 1 hour allowed for this tenant; try again in \d+ s$/,
      ) as string,
    });
    expect(Number(refused.headers.get('retry-after'))).toBeGreaterThan(3000);
    expect(refused.headers.get('ratelimit-policy')).toContain(
      '"spend";q=50000;w=2592000;qu="usd";decimals=6',
    );
    expect(budgets.amends(decisionOf(refused))).toEqual([]);
  });

  test('A1: a call that costs more than the budget can ever allow is refused with its cost in money', async () => {
    const refused = await budgets.chat(uniqueName('acme'), { max_tokens: 100_000 });
    expect(refused.status).toBe(429);
    expect(refused.headers.has('retry-after')).toBe(false);
    expect(await refused.json()).toMatchObject({
      detail: expect.stringMatching(/^This call costs .*, more than the limit of/) as string,
    });
  });

  test('A1: a model without a price is refused with its name', async () => {
    const response = await budgets.chat(uniqueName('acme'), { model: 'huge' });
    expect(response.status).toBe(400);
    expect(await response.json()).toMatchObject({
      detail: expect.stringContaining('The model "huge" has no price') as string,
    });
  });

  test('A4: of contradictory limits of the output, the largest is reserved', async () => {
    const tenant = uniqueName('acme');
    const response = await budgets.chat(tenant, { max_tokens: 10, max_completion_tokens: 900 }, 'tokens=10');
    await response.text();
    const [event] = budgets.gateway.requests();
    expect(Number(event?.data.reservation?.reserved['tokens'])).toBeGreaterThan(900);
  });

  test('A4: a client that disconnects in the middle is charged for what was delivered', async () => {
    const tenant = uniqueName('acme');
    const response = await budgets.chat(tenant, { stream: true }, 'tokens=400, input=30, pause=5');
    const reader = (response.body as ReadableStream<Uint8Array>).getReader();
    for (let chunks = 0; chunks < 20; chunks += 1) await reader.read();
    await reader.cancel();
    const settled = await budgets.settled(decisionOf(response));
    expect(settled.usage_source).toBe('measured');
    const output = settled.measures?.['output_tokens'] ?? 0;
    expect(output).toBeGreaterThan(0);
    await eventually(async () => (await budgets.journal(decisionOf(response))).outcome === 'left');
    expect(output).toBeLessThan(400);
  });

  test('A4: an upstream error without usage is charged nothing', async () => {
    const tenant = uniqueName('acme');
    const response = await budgets.chat(tenant, {}, 'status=500');
    expect(response.status).toBe(500);
    await response.text();
    const settled = await budgets.settled(decisionOf(response));
    expect(settled).toMatchObject({ status: 500, quantities: { tokens: 0, usd: 0 } });
    expect(await budgets.left(tenant)).toMatchObject({ tokens: 2000, spend: 0.05 });
  });

  test('C1: a stream that exhausts its budget is ended in the form of its API, and passes the limit by one slice at most', async () => {
    const tenant = uniqueName('acme');
    const response = await budgets.message(tenant, { stream: true }, 'endless, input=30');
    const text = await response.text();
    expect(text).toContain('"stop_reason":"max_tokens"');
    expect(text.trimEnd().endsWith('data: {"type":"message_stop"}')).toBe(true);
    const settled = await budgets.settled(decisionOf(response));
    const tokens = Number(settled.quantities?.['tokens']);
    expect(tokens).toBeGreaterThan(1500);
    expect(tokens).toBeLessThanOrEqual(2050);
    const states = budgets.amends(decisionOf(response)).map(({ reservation }) => reservation?.state);
    expect(new Set(states)).toEqual(new Set(['open', 'settled']));
  });
});

describe('a call whose status is not charged', () => {
  test.each([500, 503, 429])(
    'F3: a response with %s gives back units and amounts, and cancels the reservation',
    async (status) => {
      const plans = `${budgetPolicy.plans}\n    charge: { unless_status: [5xx, 429] }`;
      budgets.gateway.usePolicy({ ...budgetPolicy, plans });
      try {
        const tenant = uniqueName('acme');
        const response = await budgets.chat(tenant, { max_tokens: 300 }, `status=${status}`);
        expect(response.status).toBe(status);
        await response.text();
        const decision = decisionOf(response);
        await eventually(() => budgets.amends(decision).length === 1);
        expect(budgets.amends(decision)).toMatchObject([
          { status, units: 0, cost: 0, reservation: { state: 'cancelled', number: 1 } },
        ]);
        expect(await budgets.left(tenant)).toEqual({ calls: 1000, tokens: 2000, spend: 0.05 });
        const found = await budgets.gateway.enforcer.reservations.find(tenant, decision);
        expect(found).toMatchObject({ state: 'cancelled', amounts: { tokens: 0, usd: 0 } });
      } finally {
        budgets.gateway.usePolicy(budgetPolicy);
      }
    },
  );

  test('D3: each refusal has the member that the SDKs of OpenAI print, with its text', async () => {
    const tenant = uniqueName('acme');
    const unpriced = await budgets.chat(tenant, { model: 'huge' });
    expect(unpriced.status).toBe(400);
    const problem = (await unpriced.json()) as Record<string, unknown>;
    expect(problem['error']).toBe(problem['detail']);
    expect(problem['error']).toContain('"huge" has no price');
    const limited = await budgets.chat(tenant, { max_tokens: 5000 });
    expect(await limited.json()).toMatchObject({
      status: 429,
      error: expect.stringContaining('2000 tokens') as string,
    });
  });
});
