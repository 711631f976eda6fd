// Goal: each rule of a lease by itself (decision 160): what a busy caller gets, and what a killed node, a reset or a stall costs.
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Limit } from '../../../../shared/domain/limit.ts';
import type { RedisClient } from '../../../../shared/redis/client.ts';
import type { CheckRequest } from '../../../../shared/redis/decision/check.ts';
import type { Limiter } from '../../../../shared/redis/decision/limiter.ts';
import { eventually, servers, uniqueName } from '../../../support/servers.ts';
import { connected, limitOf, requestOf } from '../limiters.ts';
import { nodeOn, startMs } from './nodes.ts';

let redis: RedisClient;
beforeAll(async () => {
  redis = await connected(servers().redisUrl);
  // Nodes that crash do not remove their listeners.
  redis.setMaxListeners(0);
});
afterAll(() => redis.disconnect());

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
    const node = nodeOn(redis, prefix, () => nowMs);
    await sendFor(2_000, node.limiter, () => (nowMs += 1), requestOf(large));
    await node.renew();
    const { spent, granted } = await node.units();
    expect(spent).toBeGreaterThan(1_500);
    nowMs += 300;
    const plain = nodeOn(redis, prefix, () => nowMs, 0, false);
    const peek = requestOf(large, { peek: true });
    const remaining = async () => (await plain.limiter.check(peek)).states[0]?.remaining;
    await eventually(async () => (await remaining()) === 1_000_000 - 2_000);
    await eventually(async () => (await node.units()).returned === granted - spent);
    await Promise.all([node.limiter.close(), plain.limiter.close()]);
  });

  test('reads its own requests in `remaining` at once, and at the end of a lease those of other nodes', async () => {
    let nowMs = startMs;
    const prefix = uniqueName('remaining');
    const node = nodeOn(redis, prefix, () => nowMs);
    await sendFor(1_000, node.limiter, () => (nowMs += 1), requestOf(large));
    const { states } = await node.limiter.check(requestOf(large));
    expect(states[0]?.remaining).toBeLessThanOrEqual(1_000_000 - 1_001);
    expect(states[0]?.remaining).toBeGreaterThan(1_000_000 - 1_001 - 250);
    await node.limiter.close();
  });

  test('a closing node returns its leases', async () => {
    let nowMs = startMs;
    const prefix = uniqueName('closing');
    const node = nodeOn(redis, prefix, () => nowMs);
    await sendFor(700, node.limiter, () => (nowMs += 1), requestOf(large));
    await node.limiter.close();
    const plain = nodeOn(redis, prefix, () => nowMs, 0, false);
    const { states } = await plain.limiter.check(requestOf(large, { peek: true }));
    expect(states[0]?.remaining).toBe(1_000_000 - 700);
    await plain.limiter.close();
  });

  test('a lease, whose timestamp is ahead of the clock, lets no other units expire early', async () => {
    let nowMs = startMs;
    const prefix = uniqueName('ahead');
    const limits = [limitOf({ limit: 2_000, windowMs: 16_000 })];
    const node = nodeOn(redis, prefix, () => nowMs);
    const plain = nodeOn(redis, prefix, () => nowMs, 0, false);
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

  test('a lease in the middle of a millisecond lets no unit expire before its full span', async () => {
    let nowMs = startMs + 0.9;
    const prefix = uniqueName('micros');
    const limits = [limitOf({ limit: 2_000, windowMs: 16_000 })];
    const node = nodeOn(redis, prefix, () => nowMs);
    const plain = nodeOn(redis, prefix, () => nowMs, 0, false);
    await plain.limiter.check(requestOf(limits, { cost: 1_000 }));
    nowMs = startMs + 16_000.1;
    await sendFor(20, node.limiter, () => undefined, requestOf(limits));
    expect((await node.units()).granted).toBeGreaterThan(0);
    expect((await plain.limiter.check(requestOf(limits, { cost: 981 }))).passed).toBe(false);
    nowMs = startMs + 16_001;
    expect((await plain.limiter.check(requestOf(limits, { cost: 981 }))).passed).toBe(true);
    await Promise.all([node.limiter.close(), plain.limiter.close()]);
  });

  test('a killed node loses at most a twentieth of the units that are left, until they leave the window', async () => {
    let nowMs = startMs;
    const prefix = uniqueName('killed');
    const limits = [limitOf({ limit: 8_000, windowMs: 16_000 })];
    const killed = nodeOn(redis, prefix, () => nowMs);
    const other = nodeOn(redis, prefix, () => nowMs, 0, false);
    const remaining = async (): Promise<number | undefined> =>
      (await other.limiter.check(requestOf(limits, { peek: true }))).states[0]?.remaining;
    await sendFor(300, killed.limiter, () => (nowMs += 1), requestOf(limits));
    await killed.renew();
    const { granted, spent } = await killed.units();
    const lost = granted - spent;
    expect(lost).toBeGreaterThan(0);
    expect(lost).toBeLessThanOrEqual((8_000 - 300) / 20);
    // The node sends nothing more: after the end of its lease, the lost units are still charged.
    const lastSentMs = nowMs;
    nowMs += 1_000;
    expect(await remaining()).toBe(8_000 - 300 - lost);
    nowMs = lastSentMs + 16_000 + 2 * 250 + 2;
    expect(await remaining()).toBe(8_000);
    await other.limiter.close();
  });

  test('a reset by another process has effect on a node with a lease after at most the life of the lease', async () => {
    let nowMs = startMs;
    const prefix = uniqueName('reset-elsewhere');
    const node = nodeOn(redis, prefix, () => nowMs);
    const admin = nodeOn(redis, prefix, () => nowMs, 0, false);
    await sendFor(700, node.limiter, () => (nowMs += 1), requestOf(large));
    await admin.limiter.reset('acme');
    nowMs += 250;
    const { states } = await node.limiter.check(requestOf(large, { cost: 5 }));
    expect(states[0]?.remaining).toBe(1_000_000 - 5);
    await node.limiter.close();
    const after = await admin.limiter.check(requestOf(large, { peek: true }));
    expect(after.states[0]?.remaining, 'no unit of the lease is returned').toBe(1_000_000 - 5);
    await admin.limiter.close();
  });

  test('a change of limits decides the next check of the node', async () => {
    let nowMs = startMs;
    const node = nodeOn(redis, uniqueName('change'), () => nowMs);
    await sendFor(700, node.limiter, () => (nowMs += 1), requestOf(large));
    const changed = await node.limiter.check(requestOf([limitOf({ limit: 600 })]));
    expect(changed).toMatchObject({ passed: false, states: [{ limit: 600, remaining: 0 }] });
    await node.limiter.close();
  });

  test('units that have left the window are not returned from the entries of other requests', async () => {
    let nowMs = startMs;
    const prefix = uniqueName('late');
    const limits = [limitOf({ limit: 100_000, windowMs: 6_400 })];
    const node = nodeOn(redis, prefix, () => nowMs);
    await sendFor(350, node.limiter, () => (nowMs += 1), requestOf(limits));
    await node.renew();
    const { granted, spent } = await node.units();
    expect(granted).toBeGreaterThan(spent);
    const plain = nodeOn(redis, prefix, () => nowMs, 0, false);
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
    const node = nodeOn(redis, prefix, () => nowMs);
    await sendFor(700, node.limiter, () => (nowMs += 1), requestOf(large));
    await node.limiter.resetAll();
    nowMs += 1;
    const { states } = await node.limiter.check(requestOf(large, { cost: 5 }));
    await node.limiter.close();
    expect(states[0]?.remaining).toBeGreaterThanOrEqual(1_000_000 - 5 - 250);
    const plain = nodeOn(redis, prefix, () => nowMs, 0, false);
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
  const node = nodeOn(redis, uniqueName('unleased'), () => nowMs);
  await sendFor(600, node.limiter, () => (nowMs += 1), requestOf(limits, changes));
  expect(await node.units()).toEqual({ granted: 0, spent: 0, returned: 0 });
  await node.limiter.close();
});
