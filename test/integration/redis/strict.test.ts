// Goal: the script decides as the definition requires, to the millisecond and the unit.
// Method: random sequences of checks that favour the edges of every window, by one to four limiters with skewed clocks on one
// Redis, compared step by step with a model that keeps a plain list.
import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Limit } from '../../../shared/domain/limit.ts';
import type { RedisClient } from '../../../shared/redis/client.ts';
import type { Limiter } from '../../../shared/redis/decision/limiter.ts';
import { servers, uniqueName } from '../../support/servers.ts';
import { connected, limitOf, limiterOn, requestOf } from './limiters.ts';
import { WindowModel, mostInAnySpan } from './model.ts';

let redis: RedisClient;
beforeAll(async () => void (redis = await connected(servers().redisUrl)));
afterAll(() => redis.disconnect());

/** Just before midnight UTC, so that the sequences cross the end of an hour, a day and a month. */
const startMs = Date.UTC(2026, 0, 31, 23, 59, 59, 900);

const limitArb = fc.record({
  limit: fc.integer({ min: 0, max: 12 }),
  windowMs: fc.constantFrom(1, 7, 50, 120),
  burst: fc.oneof(fc.constant(0), fc.integer({ min: 1, max: 6 })),
  per: fc.constantFrom<Limit['per']>(['tenant'], ['user'], ['ip'], ['tenant', 'user'], ['global']),
  mode: fc.constantFrom<Limit['mode']>('enforce', 'enforce', 'shadow'),
});

const stepArb = fc.record({
  wait: fc.oneof(
    fc.constantFrom('edge-1', 'edge', 'edge+1', 'retry', 'retry-1'),
    fc.integer({ min: 0, max: 3 }),
    fc.integer({ min: 0, max: 130 }),
  ),
  cost: fc.oneof(
    { weight: 3, arbitrary: fc.constant(1) },
    { weight: 1, arbitrary: fc.integer({ min: 1, max: 15 }) },
  ),
  peek: fc.nat({ max: 4 }).map((roll) => roll === 0),
  by: fc.nat({ max: 3 }),
});

const walkArb = fc.record({
  limits: fc.oneof(
    fc.array(limitArb, { minLength: 1, maxLength: 1 }),
    fc.array(limitArb, { minLength: 2, maxLength: 4 }),
  ),
  quota: fc.option(fc.integer({ min: 0, max: 30 })),
  skewsMs: fc.array(fc.integer({ min: -1_500_000, max: 1_500_000 }), { minLength: 1, maxLength: 4 }),
  steps: fc.array(stepArb, { minLength: 1, maxLength: 60, size: 'max' }),
});

test('A9: every decision, remaining, reset and Retry-After equals the definition, for any windows and skewed clocks', async () => {
  const seed = Date.now() % 1_000_000;
  console.log(`strict windows: fast-check seed ${seed}`);
  await fc.assert(
    fc.asyncProperty(walkArb, async ({ limits, quota, skewsMs, steps }) => {
      const all = limits.map((limit, index) => limitOf({ ...limit, name: `w${index}` }));
      if (quota !== null) {
        all.push(limitOf({ name: 'q', type: 'quota', period: 'day', windowMs: 86_400_000, limit: quota }));
      }
      await walk(all, skewsMs, steps);
    }),
    { seed, numRuns: 150 },
  );
});

type Step = typeof stepArb extends fc.Arbitrary<infer Value> ? Value : never;

async function walk(
  limits: readonly Limit[],
  skewsMs: readonly number[],
  steps: readonly Step[],
): Promise<void> {
  let nowMs = startMs;
  const prefix = uniqueName('walk');
  // Every other limiter runs the script, and the others the function, on the same windows: both decide equally.
  const limiters = skewsMs.map((skewMs, index) =>
    limiterOn(redis, prefix, {
      clock: { now: () => nowMs + skewMs },
      redisTime: { now: () => nowMs },
      useFunctions: index % 2 === 0,
    }),
  );
  const models = limits.map((limit) => new WindowModel(limit, nowMs));
  let retryMs = 1;
  for (const { wait, cost, peek, by } of steps) {
    nowMs += waitMs(wait, limits[0]?.windowMs ?? 1, retryMs);
    const limiter = limiters[by % limiters.length]!;
    retryMs = (await step(limiter, limits, models, cost, peek, nowMs)) ?? retryMs;
  }
  for (const { limit, admitted } of models) {
    if (limit.type === 'sliding') {
      expect(mostInAnySpan(admitted, limit.windowMs)).toBeLessThanOrEqual(limit.limit + limit.burst);
    }
  }
  await Promise.all(limiters.map((limiter) => limiter.close()));
}

async function step(
  limiter: Limiter,
  limits: readonly Limit[],
  models: readonly WindowModel[],
  cost: number,
  peek: boolean,
  nowMs: number,
): Promise<number | null> {
  const rooms = models.map((model) => model.hasRoom(cost, nowMs));
  const retries = models.map((model, index) => (rooms[index] === true ? 0 : model.retryAfterMs(cost, nowMs)));
  const passes = limits.every((limit, index) => rooms[index] === true || limit.mode === 'shadow');
  if (passes && !peek) models.forEach((model, index) => rooms[index] === true && model.charge(cost, nowMs));

  const result = await limiter.check(requestOf(limits, { cost, peek }));
  expect(result).toMatchObject({ passed: passes, degraded: false });
  expect(
    result.states.map(({ name, remaining, resetAtMs, violated, retryAfterMs }) => ({
      name,
      remaining,
      resetAtMs,
      violated,
      retryAfterMs,
    })),
  ).toEqual(
    models.map((model, index) => ({
      name: model.limit.name,
      remaining: model.remaining(nowMs),
      resetAtMs: model.resetAtMs(nowMs),
      violated: rooms[index] !== true,
      retryAfterMs: retries[index],
    })),
  );
  return retries.find((retry) => retry !== 0 && retry !== null && retry < 2000) ?? null;
}

function waitMs(wait: Step['wait'], windowMs: number, retryMs: number): number {
  if (typeof wait === 'number') return wait;
  if (wait.startsWith('retry')) return Math.max(0, retryMs - (wait === 'retry' ? 0 : 1));
  return Math.max(0, windowMs + { 'edge-1': -1, edge: 0, 'edge+1': 1 }[wait as 'edge']);
}

test('B5: above 1,000 units a window never holds more than its limit, and refuses at most a sixtieth of it too long', async () => {
  const seed = Date.now() % 1_000_000;
  console.log(`large windows: fast-check seed ${seed}`);
  const steps = fc.array(
    fc.record({
      wait: fc.oneof(fc.nat({ max: 40 }), fc.constantFrom(999, 1000, 1001)),
      cost: fc.integer({ min: 1, max: 700 }),
    }),
    { minLength: 20, maxLength: 120 },
  );
  await fc.assert(
    fc.asyncProperty(steps, async (walkSteps) => {
      let nowMs = startMs;
      const limiter = limiterOn(redis, uniqueName('large'), { redisTime: { now: () => nowMs } });
      const limit = limitOf({ limit: 2000, windowMs: 1000 });
      const strict = new WindowModel(limit, nowMs);
      const lenient = new WindowModel({ ...limit, windowMs: 1000 + Math.ceil(1000 / 60) }, nowMs);
      for (const { wait, cost } of walkSteps) {
        nowMs += wait;
        const { passed } = await limiter.check(requestOf([limit], { cost }));
        if (passed) expect(strict.hasRoom(cost, nowMs)).toBe(true);
        else expect(lenient.hasRoom(cost, nowMs)).toBe(false);
        if (!passed) continue;
        strict.charge(cost, nowMs);
        lenient.charge(cost, nowMs);
      }
      expect(mostInAnySpan(strict.admitted, 1000)).toBeLessThanOrEqual(2000);
      await limiter.close();
    }),
    { seed, numRuns: 25 },
  );
});
