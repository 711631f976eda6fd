// Goal: with leases no window ever holds more than its limit, and a refusal is early only by the stated bound.
// Method: random sequences by several nodes with skewed clocks, some of which crash, with renewals and resets, compared with a model
// that keeps a plain list of admitted units.
import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Limit } from '../../../../shared/domain/limit.ts';
import type { RedisClient } from '../../../../shared/redis/client.ts';
import { servers, uniqueName } from '../../../support/servers.ts';
import { connected, limitOf, requestOf } from '../limiters.ts';
import { nodeOn, startMs } from './nodes.ts';
import type { LeasedUnits, Node } from './nodes.ts';
import { WindowModel, mostInAnySpan } from '../model.ts';

/** With TOLLGATE_FAULTS=long the random sequences take two minutes. */
const isLong = process.env['TOLLGATE_FAULTS'] === 'long';

let redis: RedisClient;
beforeAll(async () => {
  redis = await connected(servers().redisUrl);
  // Nodes that crash do not remove their listeners.
  redis.setMaxListeners(0);
});
afterAll(() => redis.disconnect());

const day = { name: 'q', type: 'quota', period: 'day', windowMs: 86_400_000 } as const;

const stepArb = fc.record({
  wait: fc.oneof(
    { weight: 6, arbitrary: fc.nat({ max: 8 }) },
    { weight: 1, arbitrary: fc.constantFrom(30, 31, 78, 79, 250) },
    { weight: 1, arbitrary: fc.constantFrom('edge-1', 'edge', 'edge+1') },
  ),
  cost: fc.oneof(fc.constant(1), fc.integer({ min: 1, max: 60 })),
  checks: fc.integer({ min: 1, max: 12 }),
  by: fc.nat({ max: 2 }),
  event: fc.oneof(
    { weight: 20, arbitrary: fc.constant('none') },
    { weight: 20, arbitrary: fc.constant('renew') },
    { weight: 3, arbitrary: fc.constant('crash') },
    { weight: 1, arbitrary: fc.constant('reset') },
  ),
});
type Step = typeof stepArb extends fc.Arbitrary<infer Value> ? Value : never;

const walkArb = fc.record({
  limits: fc.array(
    fc.record({
      limit: fc.integer({ min: 1_001, max: 4_000 }),
      windowMs: fc.constantFrom(1_000, 2_000, 5_000),
    }),
    { minLength: 1, maxLength: 2 },
  ),
  quota: fc.option(fc.integer({ min: 1_001, max: 6_000 })),
  skewsMs: fc.array(fc.integer({ min: -1_500_000, max: 1_500_000 }), { minLength: 1, maxLength: 3 }),
  steps: fc.array(stepArb, { minLength: 40, maxLength: 120, size: 'max' }),
});

test('leased units never exceed a limit in any window, and refuse early by at most two grains and the unspent units', async () => {
  const seed = Date.now() % 1_000_000;
  const totals = { granted: 0, spent: 0, returned: 0, refused: 0 };
  await fc.assert(
    fc.asyncProperty(walkArb, async ({ limits, quota, skewsMs, steps }) => {
      const all = limits.map((limit, index) => limitOf({ ...limit, name: `w${index}` }));
      if (quota !== null) all.push(limitOf({ ...day, limit: quota }));
      const walked = await walk(all, skewsMs, steps);
      for (const key of Object.keys(totals) as (keyof typeof totals)[]) totals[key] += walked[key];
    }),
    { seed, numRuns: isLong ? 300 : 8, endOnFailure: true },
  );
  console.log(`leases: fast-check seed ${seed}, units ${JSON.stringify(totals)}`);
  expect(totals.spent).toBeGreaterThan(500);
  expect(totals.refused).toBeGreaterThan(20);
}, 600_000);

async function walk(limits: readonly Limit[], skewsMs: readonly number[], steps: readonly Step[]) {
  let nowMs = startMs;
  const prefix = uniqueName('leases');
  const all: Node[] = [];
  const start = (index: number): Node => {
    const node = nodeOn(redis, prefix, () => nowMs, skewsMs[index]);
    all.push(node);
    return node;
  };
  const nodes = skewsMs.map((_, index) => start(index));
  const strict = limits.map((limit) => new WindowModel(limit, nowMs));
  const lenient = limits.map((limit) => new WindowModel(leniently(limit), nowMs));
  const admin = start(0);
  // A node spends the leases that it has at a reset to their end, outside of the windows after the reset.
  let heldAtReset = 0;
  let refused = 0;
  for (const { wait, cost, checks, by, event } of steps) {
    nowMs += waitMs(wait, limits[0]?.windowMs ?? 1);
    const index = by % nodes.length;
    // A node that crashes returns nothing: its leases stay charged.
    if (event === 'crash') nodes[index] = start(index);
    const { limiter, renew } = nodes[index]!;
    if (event === 'reset') {
      await Promise.all(nodes.map((node) => node.renew()));
      heldAtReset = await unspentOf(all);
      await admin.limiter.reset('acme');
      for (const model of [...strict, ...lenient]) model.admitted = [];
    }
    for (let check = 0; check < checks; check += 1) {
      const { passed, degraded } = await limiter.check(requestOf(limits, { cost }));
      expect(degraded).toBe(false);
      if (passed) {
        for (const model of [...strict, ...lenient]) model.charge(cost, nowMs);
        for (const model of strict)
          expect(model.used(nowMs)).toBeLessThanOrEqual(model.limit.limit + heldAtReset);
        if (event === 'renew') await renew();
      } else {
        refused += 1;
        const unspent = await unspentOf(all);
        const isAllowed = lenient.some((model) => model.used(nowMs) + cost + unspent > model.limit.limit);
        expect({ isAllowed, unspent }).toEqual({ isAllowed: true, unspent });
        break;
      }
    }
  }
  for (const { limit, admitted } of strict) {
    if (limit.type === 'sliding')
      expect(mostInAnySpan(admitted, limit.windowMs)).toBeLessThanOrEqual(limit.limit + heldAtReset);
  }
  const units = await Promise.all(all.map((node) => node.units()));
  await Promise.all(all.map(({ limiter }) => limiter.close()));
  const sum = (key: keyof LeasedUnits): number => units.reduce((total, one) => total + one[key], 0);
  return { granted: sum('granted'), spent: sum('spent'), returned: sum('returned'), refused };
}

async function unspentOf(nodes: readonly Node[]): Promise<number> {
  const units = await Promise.all(nodes.map((node) => node.units()));
  return units.reduce((sum, { granted, spent, returned }) => sum + granted - spent - returned, 0);
}

/** Units leave a window at most a grain late because of the grains, and a grain because of leases; times are rounded. */
function leniently(limit: Limit): Limit {
  if (limit.type === 'quota') return limit;
  const grainMs = Math.floor(limit.windowMs / 64);
  return { ...limit, windowMs: limit.windowMs + 2 * grainMs + 2 };
}

function waitMs(wait: Step['wait'], windowMs: number): number {
  if (typeof wait === 'number') return wait;
  return Math.max(0, windowMs + { 'edge-1': -1, edge: 0, 'edge+1': 1 }[wait as 'edge']);
}
