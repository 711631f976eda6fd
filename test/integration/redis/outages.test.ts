// Goal: the units that nodes admit without Redis are bounded over any number of outages, and are counted in Redis once,
// at their own time. Method: random sequences of checks by nodes whose connections to a real Redis are cut, restored
// and made mute, with a clock that the test sets; the model is a plain list of all admitted units, which shares no code
// with the implementation.
import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { RedisClient } from '../../../shared/redis/client.ts';
import { servers } from '../../support/servers.ts';
import type { Link } from './cut-off-node.ts';
import { connected, limitOf } from './limiters.ts';
import { Walk, expectBounds, hourMs } from './outage-walk.ts';
import type { Step } from './outage-walk.ts';

let redis: RedisClient;
beforeAll(async () => void (redis = await connected(servers().redisUrl)));
afterAll(() => redis.disconnect());

const node = fc.nat({ max: 2 });
const walk: readonly fc.WeightedArbitrary<Step>[] = [
  {
    weight: 10,
    arbitrary: fc.record({
      kind: fc.constant('check' as const),
      node,
      cost: fc.oneof(fc.constant(1), fc.integer({ min: 1, max: 4 })),
      times: fc.oneof(fc.constant(1), fc.integer({ min: 1, max: 12 })),
      delayMs: fc.nat({ max: 400 }),
    }),
  },
  {
    weight: 6,
    arbitrary: fc.record({
      kind: fc.constant('link' as const),
      node,
      link: fc.constantFrom<Link>('up', 'up', 'down', 'down', 'mute', 'late'),
    }),
  },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('wait' as const), ms: fc.nat({ max: 150 }) }) },
];
const raises: readonly fc.WeightedArbitrary<Step>[] = [
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('raise' as const) }) },
];
const losses: readonly fc.WeightedArbitrary<Step>[] = [
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('flush' as const) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('restart' as const), node }) },
];
const stepsOf = (...parts: readonly fc.WeightedArbitrary<Step>[]) =>
  fc.array(fc.oneof(...parts), { minLength: 10, maxLength: 70, size: 'max' });

const limitArb = fc.oneof(
  fc.record({
    limit: fc.integer({ min: 0, max: 20 }),
    windowMs: fc.constantFrom(100, 300, 1_000),
  }),
  fc.record({
    limit: fc.integer({ min: 0, max: 20 }),
    type: fc.constant('quota' as const),
    period: fc.constant('hour' as const),
    windowMs: fc.constant(hourMs),
  }),
);

async function walkThrough(
  walkOf: () => Walk,
  steps: readonly Step[],
  check: (walk: Walk) => Promise<void>,
  after: (walk: Walk) => Promise<void>,
): Promise<void> {
  const current = walkOf();
  try {
    for (const step of steps) {
      await current.run(step);
      await check(current);
    }
    await after(current);
  } finally {
    await current.close();
  }
}

function boundsHold(current: Walk): Promise<void> {
  expectBounds(current);
  return Promise.resolve();
}

/** Each run makes some hundred calls to a real Redis. */
const runs = process.env['TOLLGATE_FAULTS'] === 'long' ? 300 : 25;
const nodeCounts = fc.integer({ min: 1, max: 3 });
const seed = Number(process.env['TOLLGATE_SEED'] ?? Date.now() % 1_000_000);
console.log(`outages: fast-check seed ${seed}`);

test('D1: over any number of outages nodes add their shares once, and Redis then counts every unit once, at its own time', async () => {
  await fc.assert(
    fc.asyncProperty(
      limitArb,
      nodeCounts,
      stepsOf(...walk),
      fc.array(fc.nat({ max: 200 }), { minLength: 4, maxLength: 4 }),
      async (changes, nodeCount, steps, waits) => {
        const check = (current: Walk): Promise<void> => boundsHold(current);
        await walkThrough(
          () => new Walk(redis, limitOf(changes), nodeCount, false),
          steps,
          check,
          async (current) => {
            await current.reconnectAll();
            for (const waitMs of waits) {
              expect(await current.counted()).toBe(current.used());
              current.nowMs += waitMs;
            }
          },
        );
      },
    ),
    { seed, numRuns: 2 * runs },
  );
});

test('a call that ran although its reply was lost makes a limit stricter, never wider', async () => {
  await fc.assert(
    fc.asyncProperty(limitArb, nodeCounts, stepsOf(...walk), async (changes, nodeCount, steps) => {
      const check = (current: Walk): Promise<void> => boundsHold(current);
      await walkThrough(
        () => new Walk(redis, limitOf(changes), nodeCount, true),
        steps,
        check,
        async (current) => {
          await current.reconnectAll();
          expect(await current.counted()).toBeGreaterThanOrEqual(current.used());
        },
      );
    }),
    { seed, numRuns: runs },
  );
});

test('a quota that both the nodes and the reconciler restore counts no unit twice, also when Redis or a node loses its data in between', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.integer({ min: 1, max: 40 }),
      nodeCounts,
      stepsOf(...walk, ...raises, ...losses),
      async (limit, nodeCount, steps) => {
        const quota = limitOf({ limit, type: 'quota', period: 'hour', windowMs: hourMs });
        const check = async (current: Walk): Promise<void> =>
          expect(await current.counted()).toBeLessThanOrEqual(current.used());
        await walkThrough(
          () => new Walk(redis, quota, nodeCount, false),
          steps,
          check,
          async (current) => {
            await current.reconnectAll();
            current.nowMs += 1_000;
            await current.raise();
            expect(await current.counted()).toBe(current.used());
          },
        );
      },
    ),
    { seed, numRuns: 2 * runs },
  );
});
