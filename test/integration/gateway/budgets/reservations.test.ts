import { randomUUID } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { uniqueName } from '../../../support/servers.ts';
import { as, serviceToken } from '../gateway.ts';
import { useBudgets } from './budget-gateway.ts';

const budgets = useBudgets();

interface Answer {
  readonly status: number;
  readonly body: Record<string, unknown> & {
    readonly reservation?: {
      readonly id: string;
      readonly amounts: Record<string, number>;
      readonly repeated: boolean;
    };
    readonly decision_id?: string;
  };
}

const asService = { 'x-service-token': serviceToken };

async function post(
  path: string,
  body: object,
  headers: Record<string, string> = asService,
): Promise<Answer> {
  const response = await fetch(budgets.gateway.apiUrl + path, {
    method: 'POST',
    headers: { ...headers, 'content-type': 'application/json' },
    body: JSON.stringify(body),
  });
  return { status: response.status, body: (await response.json()) as Answer['body'] };
}

const check = (tenant: string, reserve: object, headers?: Record<string, string>): Promise<Answer> =>
  post('/v1/check', { tenant_id: tenant, method: 'POST', path: '/work', reserve }, headers);

const usage = { input_tokens: 100, output_tokens: 900 };
const model = 'small-1';

describe('a check that reserves', () => {
  test('D4: is part of the decision, and its settlement gives the difference back', async () => {
    const tenant = uniqueName('acme');
    const { body } = await check(tenant, { usage, model });
    expect(body).toMatchObject({
      allowed: true,
      reservation: { id: body.decision_id, amounts: { tokens: 1000, usd: 0.0037 }, repeated: false },
    });
    expect(await budgets.left(tenant)).toMatchObject({ tokens: 1000, spend: 0.0463 });
    const settled = await post(`/v1/reservations/${body.decision_id ?? ''}/settle`, {
      tenant_id: tenant,
      usage: { input_tokens: 100, output_tokens: 50 },
      status: 200,
      latency_ms: 812,
    });
    expect(settled).toEqual({
      status: 200,
      body: {
        id: body.decision_id,
        state: 'settled',
        amounts: { tokens: 150, usd: 0.0003 },
        result: 'applied',
      },
    });
    expect(await budgets.left(tenant)).toMatchObject({ calls: 999, tokens: 1850, spend: 0.0497 });
    expect(budgets.amends(body.decision_id ?? '')).toMatchObject([
      { status: 200, latency_ms: 812, cost: 0.0003, reservation: { state: 'settled' } },
    ]);
  });

  test('GET /v1/usage states used, reserved and left for each limit, also above the limit', async () => {
    const tenant = uniqueName('acme');
    const use = async (): Promise<unknown> => {
      const url = `${budgets.gateway.apiUrl}/v1/usage?tenant_id=${tenant}`;
      const { limits } = (await (await fetch(url, { headers: asService })).json()) as {
        limits: Record<string, unknown>[];
      };
      return limits
        .filter(({ name }) => ['calls', 'tokens', 'spend'].includes(String(name)))
        .map(({ name, limit, used, reserved, left }) => [name, limit, used, reserved, left]);
    };
    const first = await check(tenant, { usage, model });
    await check(tenant, { usage: { output_tokens: 100 }, model });
    expect(await use()).toEqual([
      ['calls', 1000, 2, 0, 998],
      ['tokens', 2000, 0, 1100, 900],
      ['spend', 0.05, 0, 0.0041, 0.0459],
    ]);
    await post(`/v1/reservations/${first.body.decision_id ?? ''}/settle`, {
      tenant_id: tenant,
      usage: { input_tokens: 100, output_tokens: 2400 },
    });
    expect(await use()).toEqual([
      ['calls', 1000, 2, 0, 998],
      ['tokens', 2000, 2500, 100, -600],
      ['spend', 0.05, 0.0097, 0.0004, 0.0399],
    ]);
  });

  test('D4: gets its units back from its cancellation, and not once more from the report of its status', async () => {
    const tenant = uniqueName('acme');
    await post('/v1/check', { tenant_id: tenant, method: 'POST', path: '/work' });
    const { body } = await check(tenant, { usage, model });
    const id = body.decision_id ?? '';
    await post(`/v1/reservations/${id}/cancel`, { tenant_id: tenant });
    const outcomes = [{ decision_id: id, status: 500, latency_ms: 5 }];
    expect(await post('/v1/outcomes', { outcomes })).toMatchObject({ status: 202 });
    expect(await budgets.left(tenant)).toEqual({ calls: 999, tokens: 2000, spend: 0.05 });
  });

  test('D4: is refused as a whole when one quantity has no room, and then charges nothing', async () => {
    const tenant = uniqueName('acme');
    const refused = await check(tenant, { usage: { output_tokens: 3000 }, model });
    expect(refused.body).toMatchObject({ allowed: false, limited_by: ['tokens'] });
    expect(refused.body.reservation).toBeUndefined();
    expect(await budgets.left(tenant)).toEqual({ calls: 1000, tokens: 2000, spend: 0.05 });
  });

  test('D4: with an id of its own reserves once, however often it is repeated', async () => {
    const tenant = uniqueName('acme');
    const id = randomUUID();
    const [first, second] = [
      await check(tenant, { usage, model, id }),
      await check(tenant, { usage, model, id }),
    ];
    expect(first.body.reservation).toMatchObject({ id, repeated: false });
    expect(second.body).toMatchObject({
      decision_id: first.body.decision_id,
      reservation: { repeated: true },
    });
    expect(await budgets.left(tenant)).toMatchObject({ calls: 999, tokens: 1000 });
    expect(budgets.gateway.requests()).toHaveLength(1);
  });

  test('D4: settling for more is recorded in full, and later checks are refused until there is room', async () => {
    const tenant = uniqueName('acme');
    const { body } = await check(tenant, { usage, model });
    await post(`/v1/reservations/${body.decision_id ?? ''}/settle`, {
      tenant_id: tenant,
      usage: { input_tokens: 100, output_tokens: 2400 },
    });
    expect(await budgets.left(tenant)).toMatchObject({ tokens: 0 });
    expect((await check(tenant, { usage: { output_tokens: 1 }, model })).body).toMatchObject({
      allowed: false,
    });
  });

  test('D4: can be extended while there is room, and cancelled with everything returned', async () => {
    const tenant = uniqueName('acme');
    const { body } = await check(tenant, { usage, model });
    const path = `/v1/reservations/${body.decision_id ?? ''}`;
    const extended = await post(`${path}/extend`, { tenant_id: tenant, usage: { output_tokens: 600 } });
    expect(extended.body).toMatchObject({ state: 'open', amounts: { tokens: 1600 } });
    const refused = await post(`${path}/extend`, { tenant_id: tenant, usage: { output_tokens: 600 } });
    expect(refused.status).toBe(429);
    const cancelled = await post(`${path}/cancel`, { tenant_id: tenant });
    expect(cancelled.body).toMatchObject({ state: 'cancelled', amounts: { tokens: 0, usd: 0 } });
    expect(await budgets.left(tenant)).toEqual({ calls: 1000, tokens: 2000, spend: 0.05 });
    expect((await post(`${path}/extend`, { tenant_id: tenant, usage: { output_tokens: 1 } })).status).toBe(
      409,
    );
  });

  test('D4: amounts of a quantity can be stated directly, and wrong names and values are explained', async () => {
    const tenant = uniqueName('acme');
    expect((await check(tenant, { usage: { usd: 0.02 } })).body).toMatchObject({
      reservation: { amounts: { tokens: 0, usd: 0.02 } },
    });
    for (const [wrong, detail] of [
      [{ usage: { pages: 3 } }, 'pages is neither a quantity nor a measure of this policy'],
      [{ usage: { usd: 0.0000001 } }, 'usd must be an amount with at most 6 decimals'],
      [{ usage: { output_tokens: 1.5 }, model }, 'output_tokens must be a whole number'],
      [{ usage: { output_tokens: 5 }, model: 'huge' }, 'The model "huge" has no price'],
    ] as const) {
      const { status, body } = await check(tenant, wrong);
      expect({ status, detail: body['detail'] }).toEqual({
        status: 400,
        detail: expect.stringContaining(detail) as string,
      });
    }
  });

  test('D4: a batch settles each reservation for itself', async () => {
    const tenant = uniqueName('acme');
    const ids = await Promise.all(
      [1, 2].map(
        async () => (await check(tenant, { usage: { output_tokens: 200 }, model })).body.decision_id ?? '',
      ),
    );
    const { body } = await post('/v1/reservations/settle', {
      tenant_id: tenant,
      settlements: [...ids, 'unknown'].map((id) => ({ id, usage: { output_tokens: 10 } })),
    });
    expect(body['results']).toMatchObject([
      { id: ids[0], status: 200 },
      { id: ids[1], status: 200 },
      { id: 'unknown', status: 404 },
    ]);
    expect(await budgets.left(tenant)).toMatchObject({ tokens: 1980 });
  });
});

describe('who may change a reservation', () => {
  test('C3: a tenant may settle what it reserved for itself, and nothing that the gateway reserved for its calls', async () => {
    const tenant = uniqueName('acme');
    const own = await check(tenant, { usage, model }, await as(tenant));
    const settle = (id: string, headers: Record<string, string>): Promise<Answer> =>
      post(`/v1/reservations/${id}/settle`, { usage: { output_tokens: 0 } }, headers);
    expect((await settle(own.body.decision_id ?? '', await as(tenant))).status).toBe(200);
    const response = await budgets.chat(tenant, { max_tokens: 300 }, 'tokens=20');
    await response.text();
    const decision = response.headers.get('x-tollgate-decision') ?? '';
    expect((await settle(decision, await as(tenant))).status).toBe(403);
    const ofService = await check(tenant, { usage: { output_tokens: 5 }, model });
    expect((await settle(ofService.body.decision_id ?? '', await as(tenant))).status).toBe(403);
    expect((await settle(own.body.decision_id ?? '', await as(uniqueName('other')))).status).toBe(404);
  });
});
