// Goal: the official SDKs work unchanged through a gateway with budgets, and each call is charged what it used.
import AnthropicSdk from '@anthropic-ai/sdk';
import OpenAI from 'openai';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { usageDefects } from '../../../dev/sample/ai/token-usage.ts';
import { runPolicy } from '../../support/policy-run.ts';
import type { PolicyRun } from '../../support/policy-run.ts';
import { startSampleApi } from '../../support/sample-api.ts';
import type { SampleApi } from '../../support/sample-api.ts';
import { uniqueName } from '../../support/servers.ts';
import { costOf, picos, roundedUp, settledCalls } from './charged-calls.ts';
import { openAi, textApis, uniqueModel } from './clients.ts';
import type { Target } from './clients.ts';
import { failure, testSdks } from './matrix.ts';

let sample: SampleApi;
let run: PolicyRun;
let target: Target;

/** Budget of the plan `free`, in USD a month. Its other limits are out of the way. */
const budget = 0.01;

beforeAll(async () => {
  sample = await startSampleApi();
  run = await runPolicy('ai-budgets', {
    services: ['gateway', 'aggregator'],
    env: { TOLLGATE_UPSTREAM: sample.url },
    edit: (text) =>
      text
        .replace('limit: 60, window: 1m', 'limit: 1000, window: 1m')
        .replace('limit: 20000, window: 1m', 'limit: 1000000, window: 1m')
        .replace('limit: 5, window: 1mo', `limit: ${budget}, window: 1mo`),
  });
  ({ target } = await caller('enterprise'));
});
afterAll(async () => {
  await run.stop();
  await sample.stop();
});

async function caller(plan: string): Promise<{ tenant: string; target: Target }> {
  const tenant = uniqueName('ai');
  const credential = await run.token({ tenant_id: tenant, sub: 'ada', tier: plan });
  return { tenant, target: { url: run.installation.urls.gateway, credential } };
}

testSdks(() => ({ sample, target }));

describe.each(textApis)('$name with budgets', (api) => {
  test('F1: tokens, money and model of each call equal the journal of the upstream', async () => {
    const { tenant, target: own } = await caller('pro');
    const model = uniqueModel();
    const switches = 'tokens=30, cached=4, reasoning=10';
    await api.complete(own, { model, switches });
    await api.stream(own, { model, switches });
    const charged = await settledCalls(run, tenant, 2);
    const calls = new Map((await sample.calls({ model })).map((call) => [call.decision, call]));
    for (const stored of charged) {
      const call = calls.get(stored.event_id);
      if (call === undefined) throw new Error(`the upstream has no call of the decision ${stored.event_id}`);
      const { inputTokens, outputTokens } = call;
      expect(stored).toMatchObject({
        model,
        status: 200,
        tokens: inputTokens + outputTokens,
        usage_source: 'reported',
        reservation: 'settled',
      });
      expect(picos(stored.cost)).toBe(costOf(call));
      expect(picos(stored.usd)).toBe(roundedUp(costOf(call)));
    }
  });

  test('F1: an exhausted budget is a RateLimitError at the first try, and the upstream is not called', async () => {
    const { target: own } = await caller('free');
    const model = uniqueModel();
    // The largest possible output alone costs more than the budget.
    let tries = 0;
    for (const call of [api.complete, api.stream]) {
      tries = 0;
      await drain(own);
      const error = await failure(
        call(own, { model, maxTokens: 10_000, maxRetries: 2, onTry: () => void (tries += 1) }),
      );
      expect(error).toBeInstanceOf(
        api.endpoint === '/v1/messages' ? AnthropicSdk.RateLimitError : OpenAI.RateLimitError,
      );
      expect(String(error)).toMatch(/usd/);
      expect(tries).toBe(1);
    }
    expect(await sample.calls({ model })).toEqual([]);
  });

  test('F1: a call whose client leaves in the middle is charged for what was generated', async () => {
    const { tenant, target: own } = await caller('pro');
    const model = uniqueModel();
    await api.leave(own, { model, switches: 'endless, pause=5', maxTokens: 5_000 }, 6);
    const [charged] = await settledCalls(run, tenant, 1);
    const call = await sample.endedCall(model);
    expect(call.outcome).toBe('left');
    expect(charged?.tokens).toBeGreaterThanOrEqual(call.inputTokens + 6);
    expect(charged?.reservation).toBe('settled');
    expect(picos(charged?.usd ?? '0')).toBeGreaterThan(0n);
    // Output is measured in bytes, and never more than what arrived at the gateway.
    expect(charged?.tokens).toBeLessThan(call.inputTokens * 3 + call.outputTokens * 5 + 50);
  });

  test('F1: a call that breaks off in the middle is charged for what was generated', async () => {
    const { tenant, target: own } = await caller('pro');
    const model = uniqueModel();
    await failure(api.stream(own, { model, switches: 'tokens=40, die=15' }));
    const [charged] = await settledCalls(run, tenant, 1);
    const call = await sample.endedCall(model);
    expect(charged?.tokens).toBeGreaterThanOrEqual(call.inputTokens + 15);
  });

  test.each(usageDefects)(
    'F1: usage that is %s is never charged below what was delivered',
    async (defect) => {
      const { tenant, target: own } = await caller('pro');
      const model = uniqueModel();
      const switches = `tokens=40, usage=${defect}`;
      // An SDK may not read such an answer. The gateway charges it nevertheless.
      await api.complete(own, { model, switches }).catch(() => undefined);
      await api.stream(own, { model, switches }).catch(() => undefined);
      const charged = await settledCalls(run, tenant, 2);
      const [call] = await sample.calls({ model });
      for (const { tokens } of charged) {
        expect(tokens).toBeGreaterThanOrEqual(40);
        expect(tokens).toBeLessThan(1_000 + (call?.inputTokens ?? 0) * 3);
      }
    },
  );

  test('F1: errors of the upstream are free', async () => {
    const { tenant, target: own } = await caller('pro');
    const model = uniqueModel();
    await failure(api.complete(own, { model, switches: 'status=500' }));
    await failure(api.stream(own, { model, switches: 'status=429' }));
    const charged = await settledCalls(run, tenant, 2);
    expect(charged.map(({ tokens, usd }) => [tokens, picos(usd)])).toEqual([
      [0, 0n],
      [0, 0n],
    ]);
  });
});

test('F1: a model without a price is refused, and the error names the model', async () => {
  const error = await failure(
    openAi(target).chat.completions.create({
      model: 'unknown-model',
      messages: [{ role: 'user', content: 'Hello' }],
    }),
  );
  expect(error).toBeInstanceOf(OpenAI.BadRequestError);
  expect(String(error)).toContain('unknown-model');
  expect(await sample.calls({ model: 'unknown-model' })).toEqual([]);
});

describe('failures that were reported about other gateways', () => {
  test('F1: a hundred first calls at once never spend more than the budget', async () => {
    const { tenant, target: own } = await caller('free');
    const model = uniqueModel();
    const client = openAi(own);
    const call = (): Promise<unknown> =>
      client.chat.completions.create(
        { model, messages: [{ role: 'user', content: 'Hello' }], max_completion_tokens: 1_000 },
        { headers: { 'x-sample': 'tokens=1000, pause=300' } },
      );
    const results = await Promise.allSettled(Array.from({ length: 100 }, call));
    const passed = results.filter(({ status }) => status === 'fulfilled').length;
    // A call costs about 0.0006 USD.
    expect(passed).toBe(16);
    const calls = await sample.calls({ model });
    expect(calls).toHaveLength(passed);
    expect(calls.reduce((sum, one) => sum + costOf(one), 0n)).toBeLessThanOrEqual(budgetPicos);
    const charged = await settledCalls(run, tenant, 100);
    expect(charged.filter(({ decision }) => decision === 'limited')).toHaveLength(100 - passed);
  });

  test('F1: streams in flight end at the budget, and overspend by at most a slice each', async () => {
    const { tenant, target: own } = await caller('free');
    const model = uniqueModel();
    const streams = 8;
    const read = async (): Promise<string | null> => {
      const stream = await openAi(own).chat.completions.create(
        { model, messages: [{ role: 'user', content: 'Hello' }], stream: true },
        { headers: { 'x-sample': 'endless, pause=1' } },
      );
      let end: string | null = null;
      for await (const { choices } of stream) end = choices[0]?.finish_reason ?? end;
      return end;
    };
    const ends = await Promise.all(Array.from({ length: streams }, read));
    expect(ends).toEqual(Array(streams).fill('length'));
    const charged = await settledCalls(run, tenant, streams);
    const spent = charged.reduce((sum, { usd }) => sum + picos(usd), 0n);
    const slice = 200n * 600_000n;
    expect(spent).toBeGreaterThan((budgetPicos * 9n) / 10n);
    expect(spent).toBeLessThanOrEqual(budgetPicos + BigInt(streams) * slice);
  });

  test('F1: of two contradictory maximums, the larger one is reserved', async () => {
    const { target: own } = await caller('free');
    const model = uniqueModel();
    const body = { model, messages: [{ role: 'user', content: 'Hello' }] };
    const call = (maximums: object): Promise<Response> =>
      fetch(`${own.url}/v1/chat/completions`, {
        method: 'POST',
        headers: {
          authorization: `Bearer ${own.credential}`,
          'content-type': 'application/json',
          'x-sample': 'tokens=100000',
        },
        body: JSON.stringify({ ...body, ...maximums }),
      });
    for (const maximums of [
      { max_tokens: 10, max_completion_tokens: 100_000 },
      { max_tokens: 100_000, max_completion_tokens: 10 },
      { max_completion_tokens: 10, max_output_tokens: 100_000 },
    ])
      expect((await call(maximums)).status, JSON.stringify(maximums)).toBe(429);
    expect(await sample.calls({ model })).toEqual([]);
    expect((await call({ max_tokens: 10, max_completion_tokens: 20 })).status).toBe(200);
  });
});

const budgetPicos = BigInt(budget * 1e6) * 1_000_000n;

/** Spends the budget of the plan `free`, until not even the smallest call of this test has room. */
async function drain(own: Target): Promise<void> {
  const [api] = textApis;
  for (const maxTokens of [4_000, 400, 40]) {
    for (;;) {
      const settings = { model: uniqueModel(), switches: `tokens=${maxTokens}`, maxTokens };
      const error = await api?.complete(own, settings).then(
        () => null,
        (reason: unknown) => reason,
      );
      if (error instanceof OpenAI.RateLimitError) break;
      if (error !== null) throw error as Error;
    }
  }
}
