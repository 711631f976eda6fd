// Goal: unused units of a quota are added to its next period, exactly, once, and never more than that.
import fc from 'fast-check';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { Limit } from '../../../../shared/domain/limit.ts';
import type { RedisClient } from '../../../../shared/redis/client.ts';
import type { Limiter } from '../../../../shared/redis/decision/limiter.ts';
import { servers, uniqueName } from '../../../support/servers.ts';
import { createCutOffNode } from '../cut-off-node.ts';
import { connected, limitOf, limiterOn, requestOf } from '../limiters.ts';

const dayMs = 86_400_000;
const noon = Date.UTC(2026, 5, 10, 12);
const midnight = Date.UTC(2026, 5, 11);
let redis: RedisClient;
let limiter: Limiter;
let nowMs: number;
const clock = { now: () => nowMs };

beforeAll(async () => void (redis = await connected(servers().redisUrl)));
afterAll(() => redis.disconnect());

beforeEach(() => {
  nowMs = noon;
  limiter = limiterOn(redis, uniqueName('carry'), { clock, redisTime: clock });
  return () => limiter.close();
});

const dayOf = (limit: number, most = Infinity, fields: Partial<Limit> = {}): Limit =>
  limitOf({
    ...{ name: 'day', type: 'quota', period: 'day', windowMs: dayMs, limit },
    carryOver: { base: limit, most: Math.min(most, 1_000_000) },
    ...fields,
  });

async function check(limit: Limit, cost: number, peek = false) {
  const { states, passed } = await limiter.check(requestOf([limit], { cost, peek }));
  const [state] = states;
  if (state === undefined || states.length !== 1) throw new Error('one state for one limit');
  return { ...state, passed };
}

describe('units carried over', () => {
  const day = dayOf(100);

  test('are what the day before has left, and the state of the limit contains them', async () => {
    expect(await check(day, 30)).toMatchObject({ passed: true, limit: 100, remaining: 70 });
    nowMs = midnight;
    expect(await check(day, 1, true)).toMatchObject({ limit: 170, carried: 70, remaining: 170 });
    expect(await check(day, 120)).toMatchObject({ passed: true, limit: 170, carried: 70, remaining: 50 });
    expect(await check(day, 51)).toMatchObject({ passed: false, violated: true, remaining: 50 });
    expect(await check(day, 50)).toMatchObject({ passed: true, remaining: 0 });
  });

  test('are used last and not carried over again', async () => {
    await check(day, 30);
    nowMs = midnight;
    await check(day, 40);
    nowMs += dayMs;
    expect(await check(day, 1, true)).toMatchObject({ limit: 160, carried: 60 });
  });

  test('are at most the limit of carry_over', async () => {
    const bounded = dayOf(100, 25);
    await check(bounded, 30);
    nowMs = midnight;
    expect(await check(bounded, 1, true)).toMatchObject({ limit: 125, carried: 25, remaining: 125 });
  });

  test('are none for a tenant without usage in the day before', async () => {
    expect(await check(day, 1, true)).toMatchObject({ limit: 100, remaining: 100 });
    await check(day, 30);
    nowMs += 2 * dayMs;
    expect(await check(day, 1, true)).toMatchObject({ limit: 100, remaining: 100 });
  });

  test('do not grow by a boost of the day before or of this day', async () => {
    await check(dayOf(200, Infinity, { carryOver: { base: 100, most: 1000 } }), 150);
    nowMs = midnight;
    expect(await check(day, 1, true)).toMatchObject({ limit: 100, remaining: 100 });
    await check(day, 90);
    nowMs += dayMs;
    const boosted = dayOf(200, Infinity, { carryOver: { base: 100, most: 1000 } });
    expect(await check(boosted, 1, true)).toMatchObject({ limit: 210, carried: 10 });
  });

  test('stay after a reset, which empties this day only', async () => {
    await check(day, 30);
    nowMs = midnight;
    await check(day, 100);
    await limiter.reset('acme');
    expect(await check(day, 1, true)).toMatchObject({ limit: 170, remaining: 170 });
  });

  test('count together with other windows: all of them are charged, or none', async () => {
    const minute = limitOf({ name: 'minute', limit: 40, windowMs: 60_000 });
    await check(day, 30);
    nowMs = midnight;
    const both = async (cost: number) =>
      (await limiter.check(requestOf([minute, day], { cost }))).states.map(({ remaining }) => remaining);
    expect(await both(41)).toEqual([40, 170]);
    expect(await both(40)).toEqual([0, 130]);
  });

  test.each([
    ['a refund', () => limiter.refund(requestOf([day], { cost: 5 }), true), 170],
    ['a restoration', () => limiter.raiseQuota('acme', day, midnight, 5), 165],
  ])('stay if the first change of a day is %s', async (_name, change, remaining) => {
    await check(day, 30);
    nowMs = midnight;
    await change();
    expect(await check(day, 1, true)).toMatchObject({ limit: 170, carried: 70, remaining });
  });

  test('stay if units that were admitted without Redis are the first of a day', async () => {
    const node = createCutOffNode({
      ...{ redis, prefix: uniqueName('cut'), clock, nodes: 1, checksRunOnMute: false },
    });
    await node.check(requestOf([day], { cost: 30 }));
    nowMs = midnight;
    node.link = 'down';
    await node.check(requestOf([day], { cost: 5 }));
    node.link = 'up';
    expect(await node.reconnect()).toBe(true);
    const { states, degraded } = await node.check(requestOf([day], { peek: true }));
    expect({ degraded, left: states.map(({ remaining }) => remaining) }).toEqual({
      degraded: false,
      left: [70, 165],
    });
    node.close();
  });

  test('Retry-After names the next day only if the cost fits then', async () => {
    await check(day, 30);
    nowMs = midnight;
    await check(day, 20);
    expect(await check(day, 160)).toMatchObject({ passed: false, retryAfterMs: dayMs });
    expect(await check(day, 181)).toMatchObject({ passed: false, retryAfterMs: null });
    nowMs += dayMs;
    expect(await check(day, 160)).toMatchObject({ passed: true, remaining: 20 });
  });

  test('after a loss of Redis are those of the previous total, which raises and never lowers', async () => {
    await limiter.raisePrevious('acme', day, midnight - dayMs, 40);
    expect(await check(day, 1, true)).toMatchObject({ limit: 160, carried: 60 });
    await limiter.raisePrevious('acme', day, midnight - dayMs, 10);
    await check(day, 5);
    expect(await check(day, 1, true)).toMatchObject({ limit: 160, remaining: 155 });
    await limiter.raisePrevious('acme', day, midnight - dayMs, 90);
    expect(await check(day, 1, true)).toMatchObject({ limit: 110, remaining: 105 });
  });

  test('grow by what a settlement of the day before returns', async () => {
    const tokens = dayOf(100, Infinity, { of: 'tokens' });
    const request = requestOf([tokens], { cost: 1, amounts: { tokens: 80 } });
    const reservation = { id: 'r1', expiresMs: 60_000, details: '' };
    const { reservation: made } = await limiter.check({ ...request, reservation });
    nowMs = midnight;
    const left = async (amount: number) =>
      (await limiter.check(requestOf([tokens], { cost: 1, amounts: { tokens: amount } }))).states[0];
    expect(await left(10)).toMatchObject({ limit: 120, remaining: 110 });
    if (made === null) throw new Error('no reservation');
    await limiter.settle(made.handle, { tokens: 30 });
    expect(await left(10)).toMatchObject({ limit: 170, remaining: 150 });
  });
});

test('at the boundary under load, no more than the limit and the carried part is ever admitted', async () => {
  const day = dayOf(100);
  await check(day, 73);
  nowMs = midnight - 1;
  const burst = async (): Promise<number> => {
    const results = await Promise.all(Array.from({ length: 400 }, () => check(day, 1)));
    return results.filter(({ passed }) => passed).length;
  };
  const nodes = await Promise.all([
    burst(),
    (async () => {
      await Promise.resolve();
      nowMs = midnight;
      return burst();
    })(),
  ]);
  // The last units of the old day are either used in it or carried over.
  const used = 73 + nodes[0] + nodes[1];
  expect(used).toBe(200);
});

test('for any usage, every day admits exactly its limit and what the model carries over', async () => {
  const seed = Date.now() % 1_000_000;
  console.log(`carry-over: fast-check seed ${seed}`);
  const step = fc.record({ days: fc.constantFrom(0, 0, 0, 1, 1, 2), cost: fc.integer({ min: 1, max: 60 }) });
  await fc.assert(
    fc.asyncProperty(
      fc.integer({ min: 0, max: 120 }),
      fc.array(step, { maxLength: 25 }),
      async (most, steps) => {
        const limit = dayOf(50, most, { name: uniqueName('q').replaceAll(/[^a-z0-9]/g, '') });
        nowMs = noon;
        let [used, before] = [0, 0];
        for (const { days, cost } of steps) {
          nowMs += days * dayMs;
          if (days > 0) [used, before] = [0, days === 1 ? used : 0];
          const effective = 50 + (before > 0 ? Math.min(most, Math.max(0, 50 - before)) : 0);
          const { passed, remaining } = await check(limit, cost);
          expect(passed).toBe(used + cost <= effective);
          if (passed) used += cost;
          expect(remaining).toBe(effective - used);
        }
      },
    ),
    { seed, numRuns: 60 },
  );
});
