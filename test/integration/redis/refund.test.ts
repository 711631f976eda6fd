import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { RedisClient } from '../../../shared/redis/client.ts';
import { servers, uniqueNamespace } from '../../support/servers.ts';
import { connected, limitOf, limiterOn, requestOf } from './limiters.ts';
import { WindowModel } from './model.ts';

let redis: RedisClient;
beforeAll(async () => void (redis = await connected(servers().redisUrl)));
afterAll(() => redis.disconnect());

const startMs = Date.parse('2026-11-20T10:00:00Z');

type Step =
  | { readonly kind: 'check'; readonly cost: number }
  | { readonly kind: 'refund'; readonly units: number }
  | { readonly kind: 'wait'; readonly ms: number };

const steps = fc.array(
  fc.oneof(
    fc.record({ kind: fc.constant('check' as const), cost: fc.integer({ min: 1, max: 6 }) }),
    fc.record({ kind: fc.constant('refund' as const), units: fc.integer({ min: 1, max: 9 }) }),
    fc.record({ kind: fc.constant('wait' as const), ms: fc.integer({ min: 0, max: 700 }) }),
  ),
  { minLength: 1, maxLength: 40 },
);

/** The definition of a refund: units are removed in the order in which they were charged. */
function refund(model: WindowModel, units: number, nowMs: number): void {
  let left = Math.min(units, model.used(nowMs));
  const inWindow = model.admitted.filter(({ atMs }) => atMs > nowMs - model.limit.windowMs && atMs <= nowMs);
  model.admitted = inWindow.flatMap(({ atMs, units: held }) => {
    const removed = Math.min(held, left);
    left -= removed;
    return held === removed ? [] : [{ atMs, units: held - removed }];
  });
}

test('a refund returns the oldest units of every window, and no span ever holds more than the limit', async () => {
  const seed = Date.now() % 1_000_000;
  console.log(`refunds: fast-check seed ${seed}`);
  await fc.assert(
    fc.asyncProperty(steps, async (sequence: readonly Step[]) => {
      let nowMs = startMs;
      const clock = { now: () => nowMs };
      const limiter = limiterOn(redis, uniqueNamespace().keyPrefix, { clock, redisTime: clock });
      const limits = [
        limitOf({ limit: 12, windowMs: 1_000 }),
        limitOf({ name: 'hour', limit: 20, windowMs: 2_000 }),
      ];
      const models = limits.map((limit) => new WindowModel(limit, nowMs));
      try {
        for (const step of sequence) {
          if (step.kind === 'wait') nowMs += step.ms;
          else if (step.kind === 'refund') {
            const held = Math.max(...models.map((model) => model.used(nowMs)));
            const returned = await limiter.refund(requestOf(limits, { cost: step.units }), true);
            expect(returned).toBe(Math.min(step.units, held));
            for (const model of models) refund(model, step.units, nowMs);
          } else {
            const result = await limiter.check(requestOf(limits, { cost: step.cost }));
            const expected = models.every((model) => model.hasRoom(step.cost, nowMs));
            expect(result.passed).toBe(expected);
            if (expected) for (const model of models) model.charge(step.cost, nowMs);
            expect(result.states.map(({ remaining }) => remaining)).toEqual(
              models.map((model) => model.remaining(nowMs)),
            );
          }
        }
      } finally {
        await limiter.close();
      }
    }),
    { seed, numRuns: 60 },
  );
});

test('a refund lowers a quota, and an announced total that still includes the units does not raise it again', async () => {
  const limiter = limiterOn(redis, uniqueNamespace().keyPrefix);
  const quota = limitOf({ name: 'day', type: 'quota', period: 'day', limit: 100, windowMs: 86_400_000 });
  try {
    await limiter.check(requestOf([quota], { cost: 40 }));
    await limiter.refund(requestOf([quota], { cost: 15 }), true);
    const peek = requestOf([quota], { peek: true });
    expect((await limiter.check(peek)).states[0]?.remaining).toBe(75);
    const dayMs = Math.floor(Date.now() / 86_400_000) * 86_400_000;
    expect(await limiter.raiseQuota('acme', quota, dayMs, 40)).toEqual({ before: 25, after: 25 });
    expect(await limiter.raiseQuota('acme', quota, dayMs, 50)).toEqual({ before: 25, after: 35 });
  } finally {
    await limiter.close();
  }
});

const hourMs = 3_600_000;

test('F3: a charge is given back only to windows that still count it', async () => {
  let nowMs = startMs;
  const clock = { now: () => nowMs };
  const limiter = limiterOn(redis, uniqueNamespace().keyPrefix, { clock, redisTime: clock });
  const second = limitOf({ name: 'second', limit: 10, windowMs: 1_000 });
  const hour = limitOf({ name: 'hour', limit: 10, windowMs: hourMs });
  const day = limitOf({ name: 'day', type: 'quota', period: 'day', limit: 10, windowMs: 86_400_000 });
  const limits = [second, hour, day];
  const remaining = async () =>
    (await limiter.check(requestOf(limits, { peek: true }))).states.map((state) => state.remaining);
  try {
    await limiter.check(requestOf(limits, { cost: 3 }));
    const atMs = nowMs;
    nowMs += 2_000;
    await limiter.check(requestOf(limits, { cost: 4 }));
    await limiter.giveBack(requestOf(limits, { cost: 3 }), { atMs, decisionId: null });
    expect(await remaining()).toEqual([6, 6, 6]);
    nowMs = startMs + 86_400_000;
    await limiter.check(requestOf(limits, { cost: 2 }));
    await limiter.giveBack(requestOf(limits, { cost: 2 }), { atMs, decisionId: null });
    expect(await remaining(), 'the units are of another day').toEqual([8, 8, 8]);
  } finally {
    await limiter.close();
  }
});

test('F3: a charge is given back once, and a total that still includes it does not raise the quota', async () => {
  const limiter = limiterOn(redis, uniqueNamespace().keyPrefix);
  const quota = limitOf({ name: 'day', type: 'quota', period: 'day', limit: 100, windowMs: 86_400_000 });
  try {
    const atMs = Date.now();
    await limiter.check(requestOf([quota], { cost: 40 }));
    const charge = { atMs, decisionId: '019ac0c8-0000-7000-8000-000000000000' };
    const request = requestOf([quota], { cost: 15 });
    await Promise.all([1, 2, 3].map(() => limiter.giveBack(request, charge)));
    const dayMs = Math.floor(Date.now() / 86_400_000) * 86_400_000;
    expect(await limiter.raiseQuota('acme', quota, dayMs, 40)).toEqual({ before: 25, after: 25 });
    expect(await limiter.raiseQuota('acme', quota, dayMs, 45)).toEqual({ before: 25, after: 30 });
  } finally {
    await limiter.close();
  }
});

test('a refund of units without an event does not change how a quota is restored', async () => {
  const limiter = limiterOn(redis, uniqueNamespace().keyPrefix);
  const quota = limitOf({ name: 'day', type: 'quota', period: 'day', limit: 100, windowMs: 86_400_000 });
  try {
    await limiter.check(requestOf([quota], { cost: 40 }));
    await limiter.refund(requestOf([quota], { cost: 40 }), false);
    const dayMs = Math.floor(Date.now() / 86_400_000) * 86_400_000;
    expect(await limiter.raiseQuota('acme', quota, dayMs, 40)).toEqual({ before: 0, after: 40 });
  } finally {
    await limiter.close();
  }
});
