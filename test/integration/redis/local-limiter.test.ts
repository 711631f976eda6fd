// Goal: a node without Redis decides exactly as the script does. Method: one node sends the same random sequence of
// checks to its local limiter and to the script; all results are compared.
import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Limit } from '../../../shared/domain/limit.ts';
import type { RedisClient } from '../../../shared/redis/client.ts';
import { createLocalLedger } from '../../../shared/redis/fallback/local-ledger.ts';
import { createLocalLimiter } from '../../../shared/redis/fallback/local-limiter.ts';
import { createPeriodCache } from '../../../shared/redis/decision/periods.ts';
import { createSubjects } from '../../../shared/redis/decision/subjects.ts';
import { shapeOf } from '../../../shared/redis/decision/windows.ts';
import { servers, uniqueName } from '../../support/servers.ts';
import { connected, limitOf, limiterOn, requestOf } from './limiters.ts';

let redis: RedisClient;
beforeAll(async () => void (redis = await connected(servers().redisUrl)));
afterAll(() => redis.disconnect());

const limitArb = fc.record({
  of: fc.constantFrom('requests', 'requests', 'tokens'),
  limit: fc.oneof(fc.integer({ min: 0, max: 12 }), fc.constant(1500)),
  windowMs: fc.constantFrom(3, 50, 120, 1000),
  burst: fc.oneof(fc.constant(0), fc.integer({ min: 1, max: 6 })),
  per: fc.constantFrom<Limit['per']>(['tenant'], ['user'], ['ip'], ['tenant', 'ip']),
  mode: fc.constantFrom<Limit['mode']>('enforce', 'enforce', 'shadow'),
});

const stepArb = fc.record({
  waitMs: fc.oneof(fc.constantFrom(0, 1, 3, 50, 119, 120, 121), fc.nat({ max: 40 })),
  cost: fc.oneof(fc.constant(1), fc.integer({ min: 1, max: 15 }), fc.integer({ min: 1, max: 400 })),
  tokens: fc.integer({ min: 0, max: 15 }),
  peek: fc.nat({ max: 4 }).map((roll) => roll === 0),
  user: fc.constantFrom('ann', 'bob', null),
});

test('D1: the local limiter decides as the script does', async () => {
  const seed = Date.now() % 1_000_000;
  console.log(`local limiter: fast-check seed ${seed}`);
  await fc.assert(
    fc.asyncProperty(
      fc.array(limitArb, { minLength: 1, maxLength: 4 }),
      fc.array(stepArb, { minLength: 5, maxLength: 60, size: 'max' }),
      async (changes, steps) => {
        let nowMs = Date.UTC(2026, 0, 31, 23, 59, 59, 700);
        const clock = { now: () => nowMs };
        const prefix = uniqueName('local');
        const limits = changes.map((change, index) => limitOf({ ...change, name: `w${index}` }));
        limits.push(limitOf({ name: 'q', type: 'quota', period: 'hour', windowMs: 3_600_000, limit: 40 }));
        const limiter = limiterOn(redis, prefix, { clock, redisTime: clock });
        const local = createLocalLimiter({
          ledger: createLocalLedger({ onDropped: () => undefined }),
          nodes: () => 1,
          periods: createPeriodCache(),
        });
        const subjects = createSubjects(prefix);
        for (const { waitMs, cost, tokens, peek, user } of steps) {
          nowMs += waitMs;
          const request = requestOf(limits, { cost, amounts: { tokens }, peek, userId: user });
          const shape = shapeOf(limits, true, user !== null, 'UTC');
          const pending = {
            request,
            shape,
            subjects: shape.subjects.map((kind) => subjects.of(kind, request)),
          };
          expect(local.decide(pending, nowMs)).toEqual((await limiter.check(request)).states);
        }
        await limiter.close();
      },
    ),
    { seed, numRuns: 80 },
  );
});
