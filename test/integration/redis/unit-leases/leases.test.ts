// Goal: with leases no window ever holds more than its limit, and a refusal is early only by the stated bound.
// Method: random sequences by several nodes with skewed clocks, some of which crash, compared with a model that keeps a plain list
// of admitted units; then each rule of a lease by itself.
import fc from 'fast-check';
import { Registry } from 'prom-client';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Limit } from '../../../../shared/domain/limit.ts';
import type { RedisClient } from '../../../../shared/redis/client.ts';
import type { CheckRequest } from '../../../../shared/redis/decision/check.ts';
import type { Limiter } from '../../../../shared/redis/decision/limiter.ts';
import { eventually, servers, uniqueName } from '../../../support/servers.ts';
import { connected, limitOf, limiterOn, requestOf } from '../limiters.ts';
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

type LeasedUnits = Record<'granted' | 'spent' | 'returned', number>;

interface Node {
  readonly limiter: Limiter;
  units(): Promise<LeasedUnits>;
}

function nodeOn(prefix: string, now: () => number, skewMs = 0, leaseUnits = true): Node {
  const registry = new Registry();
  const clock = { now: () => now() + skewMs };
  const limiter = limiterOn(redis, prefix, { registry, clock, redisTime: { now }, leaseUnits });
  const units = async (): Promise<LeasedUnits> => {
    const metrics = await registry.getMetricsAsJSON();
    const values = metrics.find(({ name }) => name === 'tollgate_lease_units_total')?.values ?? [];
    const of = (key: string): number => values.find(({ labels }) => labels['result'] === key)?.value ?? 0;
    return { granted: of('granted'), spent: of('spent'), returned: of('returned') };
  };
  return { limiter, units };
}

/** Just before midnight UTC, so that the sequences cross the end of a day. */
const startMs = Date.UTC(2026, 0, 31, 23, 59, 59, 0);
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
  event: fc.constantFrom(
    'none',
    'none',
    'none',
    'none',
    'none',
    'none',
    'none',
    'none',
    'none',
    'crash',
    'sweep',
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
    const node = nodeOn(prefix, () => nowMs, skewsMs[index]);
    all.push(node);
    return node;
  };
  const nodes = skewsMs.map((_, index) => start(index));
  const strict = limits.map((limit) => new WindowModel(limit, nowMs));
  const lenient = limits.map((limit) => new WindowModel(leniently(limit), nowMs));
  let refused = 0;
  for (const { wait, cost, checks, by, event } of steps) {
    nowMs += waitMs(wait, limits[0]?.windowMs ?? 1);
    const index = by % nodes.length;
    // A node that crashes returns nothing: its leases stay charged.
    if (event === 'crash') nodes[index] = start(index);
    const { limiter } = nodes[index]!;
    for (let check = 0; check < checks; check += 1) {
      const { passed, degraded } = await limiter.check(requestOf(limits, { cost }));
      expect(degraded).toBe(false);
      if (passed) {
        for (const model of [...strict, ...lenient]) model.charge(cost, nowMs);
        for (const model of strict) expect(model.used(nowMs)).toBeLessThanOrEqual(model.limit.limit);
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
      expect(mostInAnySpan(admitted, limit.windowMs)).toBeLessThanOrEqual(limit.limit);
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

const large = [limitOf({ limit: 1_000_000 })];

/** Sends a check each millisecond. */
async function sendFor(ms: number, limiter: Limiter, step: () => void, request: CheckRequest): Promise<void> {
  for (let index = 0; index < ms; index += 1) {
    step();
    const { passed, degraded } = await limiter.check(request);
    expect({ passed, degraded }).toEqual({ passed: true, degraded: false });
  }
}

describe('one busy caller', () => {
  test('costs Redis a call per lease, and unspent units are returned when a lease ends', async () => {
    let nowMs = startMs;
    const prefix = uniqueName('busy');
    const node = nodeOn(prefix, () => nowMs);
    await sendFor(2_000, node.limiter, () => (nowMs += 1), requestOf(large));
    const { spent, granted } = await node.units();
    expect(spent).toBeGreaterThan(1_500);
    nowMs += 300;
    const plain = nodeOn(prefix, () => nowMs, 0, false);
    const peek = requestOf(large, { peek: true });
    const remaining = async () => (await plain.limiter.check(peek)).states[0]?.remaining;
    await eventually(async () => (await remaining()) === 1_000_000 - 2_000);
    await eventually(async () => (await node.units()).returned === granted - spent);
    await Promise.all([node.limiter.close(), plain.limiter.close()]);
  });

  test('reads its own requests in `remaining` at once, and at the end of a lease those of other nodes', async () => {
    let nowMs = startMs;
    const prefix = uniqueName('remaining');
    const node = nodeOn(prefix, () => nowMs);
    await sendFor(1_000, node.limiter, () => (nowMs += 1), requestOf(large));
    const { states } = await node.limiter.check(requestOf(large));
    expect(states[0]?.remaining).toBeLessThanOrEqual(1_000_000 - 1_001);
    expect(states[0]?.remaining).toBeGreaterThan(1_000_000 - 1_001 - 250);
    await node.limiter.close();
  });

  test('a closing node returns its leases', async () => {
    let nowMs = startMs;
    const prefix = uniqueName('closing');
    const node = nodeOn(prefix, () => nowMs);
    await sendFor(700, node.limiter, () => (nowMs += 1), requestOf(large));
    await node.limiter.close();
    const plain = nodeOn(prefix, () => nowMs, 0, false);
    const { states } = await plain.limiter.check(requestOf(large, { peek: true }));
    expect(states[0]?.remaining).toBe(1_000_000 - 700);
    await plain.limiter.close();
  });

  test('a lease, whose timestamp is ahead of the clock, lets no other units expire early', async () => {
    let nowMs = startMs;
    const prefix = uniqueName('ahead');
    const limits = [limitOf({ limit: 2_000, windowMs: 16_000 })];
    const node = nodeOn(prefix, () => nowMs);
    const plain = nodeOn(prefix, () => nowMs, 0, false);
    await plain.limiter.check(requestOf(limits, { cost: 1_000 }));
    nowMs += 15_800;
    await sendFor(20, node.limiter, () => undefined, requestOf(limits));
    expect((await node.units()).granted).toBeGreaterThan(0);
    expect((await plain.limiter.check(requestOf(limits, { cost: 981 }))).passed).toBe(false);
    nowMs += 199;
    expect((await plain.limiter.check(requestOf(limits, { cost: 981 }))).passed).toBe(false);
    nowMs += 2;
    expect((await plain.limiter.check(requestOf(limits, { cost: 981 }))).passed).toBe(true);
    await Promise.all([node.limiter.close(), plain.limiter.close()]);
  });

  test('a change of limits decides the next check of the node', async () => {
    let nowMs = startMs;
    const node = nodeOn(uniqueName('change'), () => nowMs);
    await sendFor(700, node.limiter, () => (nowMs += 1), requestOf(large));
    const changed = await node.limiter.check(requestOf([limitOf({ limit: 600 })]));
    expect(changed).toMatchObject({ passed: false, states: [{ limit: 600, remaining: 0 }] });
    await node.limiter.close();
  });

  test('units that have left the window are not returned from the entries of other requests', async () => {
    let nowMs = startMs;
    const prefix = uniqueName('late');
    const limits = [limitOf({ limit: 100_000, windowMs: 6_400 })];
    const node = nodeOn(prefix, () => nowMs);
    await sendFor(350, node.limiter, () => (nowMs += 1), requestOf(limits));
    const { granted, spent } = await node.units();
    expect(granted).toBeGreaterThan(spent);
    const plain = nodeOn(prefix, () => nowMs, 0, false);
    // The node is stalled: it returns its lease a whole window later.
    nowMs += 6_700;
    for (let check = 0; check < 10; check += 1) {
      await plain.limiter.check(requestOf(limits, { cost: 100 }));
      nowMs += 110;
    }
    await node.limiter.close();
    const { states } = await plain.limiter.check(requestOf(limits, { peek: true }));
    expect(states[0]?.remaining).toBe(100_000 - 1_000);
    await plain.limiter.close();
  });

  test('a reset of all ends the leases of the node at once, and no unit of before is returned after it', async () => {
    let nowMs = startMs;
    const prefix = uniqueName('reset');
    const node = nodeOn(prefix, () => nowMs);
    await sendFor(700, node.limiter, () => (nowMs += 1), requestOf(large));
    await node.limiter.resetAll();
    nowMs += 1;
    const { states } = await node.limiter.check(requestOf(large, { cost: 5 }));
    await node.limiter.close();
    expect(states[0]?.remaining).toBeGreaterThanOrEqual(1_000_000 - 5 - 250);
    const plain = nodeOn(prefix, () => nowMs, 0, false);
    const after = await plain.limiter.check(requestOf(large, { peek: true }));
    expect(after.states[0]?.remaining).toBe(1_000_000 - 5);
    await plain.limiter.close();
  });
});

test.each<[string, readonly Limit[], Partial<CheckRequest>]>([
  ['an exact window', [limitOf({ limit: 1_000 })], {}],
  ['a burst', [limitOf({ limit: 100_000, burst: 10 })], {}],
  ['a limit with `lease: false`', [limitOf({ limit: 100_000, lease: false })], {}],
  ['a large and an exact window', [limitOf({ limit: 100_000 }), limitOf({ name: 'b', limit: 900 })], {}],
  [
    'windows of two subjects',
    [limitOf({ limit: 100_000 }), limitOf({ name: 'u', limit: 90_000, per: ['user'] })],
    {},
  ],
  ['a window of a second', [limitOf({ limit: 100_000, windowMs: 500 })], {}],
  ['a peek', [limitOf({ limit: 100_000 })], { peek: true }],
])('%s is never leased', async (_, limits, changes) => {
  let nowMs = startMs;
  const node = nodeOn(uniqueName('unleased'), () => nowMs);
  await sendFor(600, node.limiter, () => (nowMs += 1), requestOf(limits, changes));
  expect(await node.units()).toEqual({ granted: 0, spent: 0, returned: 0 });
  await node.limiter.close();
});
