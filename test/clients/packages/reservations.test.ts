// Goal: an application that reserves by the package is charged what it consumed, once, also while Tollgate is away.
import fc from 'fast-check';
import { Redis } from 'ioredis';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { TollgateError } from '../../../packages/client/client.ts';
import { runPolicy } from '../../support/policy-run.ts';
import type { PolicyRun } from '../../support/policy-run.ts';
import { eventually, servers, uniqueName } from '../../support/servers.ts';
import { clientOf, request, spent, used } from './budget-calls.ts';
import { faultyTimeoutMs, startFaultyApi } from './faulty-api.ts';
import type { Fault } from './faulty-api.ts';

let run: PolicyRun;
beforeAll(async () => {
  run = await runPolicy('ai-budgets', { services: ['gateway', 'aggregator'] });
});
afterAll(() => run.stop());

describe('F5: a call that reserves', () => {
  test('is settled to what its function reported, when it returns and when it throws', async () => {
    const client = clientOf(run);
    const tenant = uniqueName('acme');
    const result = await client.reserved(request(tenant), (call) => {
      call.report({ usage: { input_tokens: 100, output_tokens: 20 } });
      call.report({ usage: spent });
      return call.decision.reservation?.amounts;
    });
    expect(result).toMatchObject({ allowed: true, value: { tokens: 1000 } });
    expect(await used(run, tenant)).toMatchObject({ minute: 1, tokens: 150 });
    const failing = client.reserved(request(tenant), (call) => {
      call.report({ usage: spent });
      throw new Error('the model broke off');
    });
    await expect(failing).rejects.toThrow('the model broke off');
    expect(await used(run, tenant)).toMatchObject({ minute: 2, tokens: 300 });
    await eventually(async () => {
      const rows = await run.clickhouse.query(
        'SELECT status, u.quantities[{name:String}] AS tokens FROM usage_events AS u WHERE tenant_id = {tenant:String} ORDER BY time, status',
        { tenant, name: 'tokens' },
      );
      expect(rows).toEqual([
        { status: 200, tokens: 150 },
        { status: 500, tokens: 150 },
      ]);
      return true;
    });
  });

  test('without a report is charged the estimate when it returns, and nothing when it throws', async () => {
    const client = clientOf(run);
    const tenant = uniqueName('acme');
    await client.reserved(request(tenant), () => 1);
    expect(await used(run, tenant)).toMatchObject({ minute: 1, tokens: 1000 });
    const failing = client.reserved(request(tenant), () => Promise.reject(new Error('no model')));
    await expect(failing).rejects.toThrow('no model');
    expect(await used(run, tenant)).toMatchObject({ minute: 1, tokens: 1000 });
  });

  test('ends with its scope, unless it was settled or cancelled before', async () => {
    const client = clientOf(run);
    const tenant = uniqueName('acme');
    {
      await using call = await client.reserve(request(tenant));
      call.report({ usage: spent });
    }
    expect(await used(run, tenant)).toMatchObject({ tokens: 150 });
    {
      await using call = await client.reserve(request(tenant));
      await call.settle({ usage: { output_tokens: 10 }, status: 200 });
    }
    {
      await using call = await client.reserve(request(tenant));
      await call.cancel();
    }
    expect(await used(run, tenant)).toMatchObject({ minute: 2, tokens: 160 });
  });

  test('is refused as a value, with the problem for the client, and its function does not run', async () => {
    const client = clientOf(run);
    const tenant = uniqueName('acme');
    const large = { model: 'gpt-4o-mini', usage: { output_tokens: 30_000 } };
    const result = await client.reserved({ ...request(tenant), reserve: large }, () => {
      throw new Error('this must not run');
    });
    expect(result).toMatchObject({
      allowed: false,
      decision: { decided: true },
      problem: { status: 429, 'violated-policies': ['tokens'] },
    });
    await using refused = await client.reserve({ ...request(tenant), reserve: large });
    expect(refused.allowed).toBe(false);
  });

  test('can reserve more while there is room, and is not extended after its end', async () => {
    const client = clientOf(run);
    const tenant = uniqueName('acme');
    const call = await client.reserve(request(tenant));
    expect(await call.extend({ output_tokens: 500 })).toMatchObject({
      allowed: true,
      amounts: { tokens: 1500 },
    });
    expect(await call.extend({ output_tokens: 19_000 })).toMatchObject({
      allowed: false,
      decided: true,
      problem: { status: 429, detail: expect.stringContaining('no room') as string },
    });
    await call.cancel();
    await expect(call.extend({ output_tokens: 1 })).rejects.toMatchObject({ status: 409 });
    expect(await used(run, tenant)).toMatchObject({ minute: 0, tokens: 0 });
  });

  test('can be settled by another process, in batches of any size, with a result for each', async () => {
    const client = clientOf(run);
    const tenant = uniqueName('acme');
    const small = { model: 'gpt-4o-mini', usage: { output_tokens: 100 } };
    const calls = await Promise.all(
      Array.from({ length: 50 }, () => client.reserve({ ...request(tenant), reserve: small })),
    );
    const settlements = Array.from({ length: 130 }, (_, index) => ({
      id: calls[index]?.id ?? `unknown-${index}`,
      usage: { output_tokens: 10 },
    }));
    const results = await client.settleAll(settlements, { tenant_id: tenant });
    expect(results.map(({ id, status }) => [id, status])).toEqual(
      settlements.map(({ id }, index) => [id, index < 50 ? 200 : 404]),
    );
    expect(await used(run, tenant)).toMatchObject({ tokens: 500 });
    const wrong = client.settle(calls[0]?.id ?? '', { tenant_id: tenant, usage: { pages: 1 } });
    await expect(wrong).rejects.toMatchObject({
      status: 400,
      message: expect.stringContaining('pages is neither a quantity nor a measure') as string,
    });
  });
});

describe('F5: faults between the application and Tollgate', () => {
  test('answers that are lost, late or refused at random: each call is charged once, what it consumed', async () => {
    const seed = Number(process.env['SEED'] ?? 20_261_127);
    console.log(`seed ${seed}`);
    const faults: readonly Fault[] = ['none', 'none', 'none', 'full', 'reset', 'lost answer', 'late answer'];
    const random = fc.sample(fc.constantFrom(...faults), { numRuns: 5_000, seed });
    let calls = 0;
    const api = await startFaultyApi(run.installation.urls.api, () => random[calls++] ?? 'none');
    const errors: string[] = [];
    const client = clientOf(run, {
      url: api.url,
      timeoutMs: faultyTimeoutMs,
      onError: ({ message }) => void errors.push(message),
    });
    const tenant = uniqueName('acme');
    const work = Array.from({ length: 18 }, async () =>
      client.reserved(request(tenant), (call) => call.report({ usage: { output_tokens: 10 } })),
    );
    const results = await Promise.all(work);
    expect(await client.flush(60_000)).toBe(true);
    api.close();
    expect(errors).toEqual([]);
    expect(results.map(({ allowed }) => allowed)).toEqual(Array(18).fill(true));
    expect(await used(run, tenant)).toMatchObject({ minute: 18, tokens: 180 });
    expect(api.counts['lost answer']).toBeGreaterThan(0);
  });

  test('`closed` refuses a call of which Tollgate did not answer the check, and gives back what it reserved', async () => {
    let isLost = true;
    const api = await startFaultyApi(run.installation.urls.api, () => (isLost ? 'lost answer' : 'none'));
    const client = clientOf(run, { url: api.url, onFailure: 'closed', checkTimeoutMs: 2_000 });
    const tenant = uniqueName('acme');
    const result = await client.reserved(request(tenant), () => 1);
    isLost = false;
    expect(result).toMatchObject({ allowed: false, decision: { decided: false }, problem: { status: 503 } });
    expect(await client.flush()).toBe(true);
    api.close();
    expect(await used(run, tenant)).toMatchObject({ minute: 0, tokens: 0 });
  });

  test('`open` serves it, settles it if Tollgate reserved, and reports it if Tollgate has no record', async () => {
    let fault: Fault = 'lost answer';
    const api = await startFaultyApi(run.installation.urls.api, () => fault);
    const errors: TollgateError[] = [];
    const client = clientOf(run, {
      url: api.url,
      checkTimeoutMs: 2_000,
      onError: (error) => void errors.push(error),
    });
    const serve = async (tenant: string): Promise<unknown> => {
      const result = await client.reserved(request(tenant), (call) => {
        fault = 'none';
        call.report({ usage: spent });
        return 'served';
      });
      expect(await client.flush()).toBe(true);
      return result;
    };
    const reserved = uniqueName('acme');
    expect(await serve(reserved)).toMatchObject({ value: 'served', decision: { decided: false } });
    expect(await used(run, reserved)).toMatchObject({ minute: 1, tokens: 150 });
    expect(errors.map(({ status }) => status)).toEqual([null]);
    fault = 'reset';
    expect(await serve(uniqueName('acme'))).toMatchObject({ value: 'served' });
    api.close();
    expect(errors.at(-1)?.message).toMatch(
      /could not be settled: .* has no record of it\. Publish its usage/,
    );
  });

  test('F2: a reservation that Redis has lost is settled by the decision of the call', async () => {
    const client = clientOf(run);
    const tenant = uniqueName('acme');
    const call = await client.reserve(request(tenant));
    const redis = new Redis(servers().redisUrl);
    const records = await redis.keys(`${run.keyPrefix}*${tenant}*:r:*`);
    expect(records).toHaveLength(1);
    await redis.del(records);
    redis.disconnect();
    await call.settle({ usage: spent, status: 200 });
    await eventually(async () => {
      const rows = await run.clickhouse.query(
        'SELECT reservation, u.quantities[{name:String}] AS tokens FROM usage_events AS u WHERE tenant_id = {tenant:String}',
        { tenant, name: 'tokens' },
      );
      expect(rows).toEqual([{ reservation: 'settled', tokens: 150 }]);
      return true;
    });
  });

  test('the answer of a call does not wait while Tollgate is away, and a settlement that fails is reported', async () => {
    const errors: string[] = [];
    let isAway = false;
    const api = await startFaultyApi(run.installation.urls.api, () => (isAway ? 'reset' : 'none'));
    const client = clientOf(run, {
      url: api.url,
      // The answer waits for the settlement as long as for a check.
      checkTimeoutMs: 2_000,
      settleTimeoutMs: 12_000,
      onError: ({ message }) => void errors.push(message),
    });
    const call = await client.reserve(request(uniqueName('acme')));
    isAway = true;
    await call.end();
    expect(await client.flush(100)).toBe(false);
    expect(await client.flush(60_000)).toBe(true);
    api.close();
    await eventually(() => errors.length === 1);
    expect(errors[0]).toContain(`The reservation ${call.id} could not be settled: Tollgate did not answer`);
  });
});
