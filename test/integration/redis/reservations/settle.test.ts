import { describe, expect, test, vi } from 'vitest';
import { limitOf, requestOf } from '../limiters.ts';
import { createNodes, hourMs, limits, many, spend, startMs, tokens } from './fixture.ts';

const nodes = createNodes();

describe('settle', () => {
  test('units that were not used are returned, and a later correction starts from the settled amounts', async () => {
    const handle = await nodes.reserve({ tokens: 300, usd: 1_000 });
    nodes.nowMs += 1_000;
    expect(await nodes.limiter.settle(handle, { tokens: 120, usd: 400 })).toEqual({
      ...{ outcome: 'applied', amounts: { tokens: 120, usd: 400 } },
    });
    expect(await nodes.left()).toEqual([9, 880, 4_999_600]);
    const late = await nodes.other.findReservation('acme', 'r1');
    expect(late).toMatchObject({
      state: 'settled',
      details: 'details of r1',
      amounts: { tokens: 120, usd: 400 },
    });
    expect(await nodes.other.settle(late!.handle, { tokens: 450 })).toMatchObject({ outcome: 'applied' });
    expect(await nodes.left()).toEqual([9, 550, 4_999_600]);
    expect(await nodes.other.settle(late!.handle, { tokens: 450 })).toMatchObject({ outcome: 'applied' });
    expect(await nodes.left()).toEqual([9, 550, 4_999_600]);
    expect(await nodes.limiter.settle(handle, { tokens: 1 })).toEqual({
      ...{ outcome: 'superseded', amounts: { tokens: 450, usd: 400 } },
    });
  });

  test('settlements that are made at once are one call, and a damaged record fails alone', async () => {
    const ids = ['a', 'b', 'c', 'd'];
    const handles = [];
    for (const id of ids) handles.push(await nodes.reserve({ tokens: 100, usd: 10 }, id));
    const keys = handles.map(({ records }) => records[0]!.key);
    await nodes.redis.set(keys[0]!, 'no hash');
    const calls = vi.spyOn(nodes.redis, 'callBuffer');
    const settled = await Promise.all(
      handles.map((handle) => nodes.limiter.settle(handle, { tokens: 30, usd: 3 })),
    );
    expect(
      calls.mock.calls.filter((call) => call.some((argument) => keys.includes(String(argument)))),
    ).toHaveLength(1);
    calls.mockRestore();
    expect(settled.map(({ outcome }) => outcome)).toEqual(['dropped', 'applied', 'applied', 'applied']);
    expect(await nodes.left()).toEqual([6, 810, 4_999_981]);
  });

  test('more than was reserved is charged even without room', async () => {
    const handle = await nodes.reserve({ tokens: 900, usd: 1 });
    await nodes.limiter.settle(handle, { tokens: 1_500, usd: 6_000_000 });
    expect(await nodes.left()).toEqual([9, 0, 0]);
    nodes.nowMs += 60_000;
    expect(await nodes.left()).toEqual([10, 1000, 0]);
  });

  test('cancelling returns all amounts and the cost', async () => {
    const handle = await nodes.reserve({ tokens: 900, usd: 5 });
    await nodes.limiter.extend(handle, { tokens: 50 });
    expect(await nodes.other.cancel(handle)).toEqual({ outcome: 'applied', amounts: { tokens: 0, usd: 0 } });
    expect(await nodes.left()).toEqual([10, 1000, 5_000_000]);
    expect(await nodes.other.findReservation('acme', 'r1')).toMatchObject({ state: 'cancelled' });
  });

  test('nothing is returned to a window that the units have left, or to a quota whose period is over', async () => {
    const handle = await nodes.reserve({ tokens: 900, usd: 1_000 });
    nodes.nowMs += hourMs;
    await nodes.limiter.check(requestOf(limits, { amounts: { tokens: 500, usd: 500 } }));
    await nodes.limiter.settle(handle, { tokens: 0, usd: 0 });
    expect(await nodes.left()).toEqual([9, 500, 4_999_500]);
  });

  test('more than was reserved is not charged to a quota of a later period', async () => {
    const handle = await nodes.reserve({ usd: 1_000 });
    nodes.nowMs += hourMs;
    await nodes.limiter.settle(handle, { usd: 9_000, tokens: 5 });
    expect(await nodes.left()).toEqual([10, 995, 5_000_000]);
  });

  test('after a reset nothing is returned, and more than was reserved is charged', async () => {
    const handle = await nodes.reserve({ tokens: 900, usd: 1_000 });
    await nodes.limiter.reset('acme');
    await nodes.limiter.check(requestOf(limits, { amounts: { tokens: 500, usd: 500 } }));
    await nodes.limiter.settle(handle, { tokens: 0, usd: 1_200 });
    expect(await nodes.left()).toEqual([9, 500, 4_999_300]);
  });

  test('after timestamps were corrected no unit of another call is returned', async () => {
    const exact = [limitOf({ name: 'exact', of: 'tokens', limit: 900 }), many];
    nodes.nowMs = startMs + 5_000;
    const handle = await nodes.reserve({ tokens: 300 }, 'r1', exact);
    nodes.nowMs = startMs;
    await nodes.left(exact);
    nodes.nowMs = startMs + 5_000;
    await nodes.limiter.check(requestOf(exact, { amounts: { tokens: 400 } }));
    await nodes.limiter.settle(handle, { tokens: 0 });
    expect(await nodes.left(exact)).toEqual([200, 63_300]);
  });

  test('if a refund removed the units of a reservation, no unit of another call is returned', async () => {
    const window = [limitOf({ name: 'exact', of: 'tokens', limit: 900 })];
    const handle = await nodes.reserve({ tokens: 300 }, 'r1', window);
    nodes.nowMs += 1;
    await nodes.limiter.check(requestOf(window, { amounts: { tokens: 400 } }));
    await nodes.limiter.refund(requestOf(window, { amounts: { tokens: 300 } }), false);
    await nodes.limiter.settle(handle, { tokens: 0 });
    expect(await nodes.left(window)).toEqual([500]);
  });

  test('if Redis lost the record, nothing is returned and only what exceeds the reserved amounts is charged, once', async () => {
    const less = await nodes.reserve({ tokens: 300 }, 'less');
    const more = await nodes.reserve({ tokens: 100, usd: 10 }, 'more');
    const extended = await nodes.reserve({ tokens: 100 }, 'extended');
    const keys = await nodes.redis.keys(`${nodes.prefix}:*`);
    await nodes.redis.del(...keys);
    await nodes.limiter.check(requestOf(limits, { amounts: { tokens: 200 } }));
    await nodes.limiter.settle(less, { tokens: 10 });
    await nodes.limiter.settle(more, { tokens: 150, usd: 0 });
    expect(await nodes.left()).toEqual([9, 750, 5_000_000]);
    expect(await nodes.limiter.extend(extended, { tokens: 5 })).toMatchObject({ passed: true });
    await nodes.limiter.settle(extended, { tokens: 0 });
    expect(await nodes.left()).toEqual([9, 750, 5_000_000]);
    const found = await nodes.other.findReservation('acme', 'more');
    await nodes.other.settle(found!.handle, { tokens: 160 });
    expect(await nodes.left()).toEqual([9, 740, 5_000_000]);
  });

  test('a shadow limit without room is not charged by the check, and gets nothing back', async () => {
    const shadow = limitOf({ name: 'shadow', of: 'tokens', limit: 100, mode: 'shadow' });
    const of = [tokens, shadow];
    await nodes.limiter.check(requestOf(of, { amounts: { tokens: 50 } }));
    const handle = await nodes.reserve({ tokens: 200 }, 'r1', of);
    await nodes.limiter.settle(handle, { tokens: 0 });
    expect(await nodes.left(of)).toEqual([950, 50]);
  });
});

describe('use', () => {
  /** Used and reserved units of all limits. */
  async function use(): Promise<unknown[]> {
    const { states } = await nodes.other.check(requestOf(limits, { peek: true, withUse: true }));
    return states.map((state) => [state.use?.used, state.use?.reserved]);
  }

  test('used and reserved units are stated apart, and add up above the limit as well', async () => {
    await nodes.limiter.check(requestOf(limits, { amounts: { tokens: 50, usd: 7 } }));
    const handle = await nodes.reserve({ tokens: 300, usd: 1_000 });
    const expired = await nodes.reserve({ tokens: 100, usd: 500 }, 'r2');
    nodes.nowMs += 1_000;
    await nodes.limiter.extend(handle, { tokens: 40, usd: 200 });
    expect(await use()).toEqual([
      [3, 0],
      [50, 440],
      [7, 1_700],
    ]);
    await nodes.other.settle(handle, { tokens: 120, usd: 6_000_000 });
    expect(await use()).toEqual([
      [3, 0],
      [170, 100],
      [6_000_007, 500],
    ]);
    nodes.nowMs += 60_000;
    expect(await use()).toEqual([
      [0, 0],
      [0, 0],
      [6_000_007, 500],
    ]);
    await nodes.limiter.cancel(expired);
    expect((await use())[2]).toEqual([6_000_007, 0]);
    await nodes.limiter.settle(handle, { usd: 5 });
    expect((await use())[2]).toEqual([12, 0]);
  });

  test('a reset leaves nothing used and nothing reserved', async () => {
    const handle = await nodes.reserve({ tokens: 300, usd: 1_000 });
    await nodes.limiter.reset('acme');
    await nodes.reserve({ tokens: 10, usd: 1 }, 'r2');
    await nodes.limiter.settle(handle, { tokens: 300, usd: 1_000 });
    expect(await use()).toEqual([
      [1, 0],
      [0, 10],
      [0, 1],
    ]);
  });

  test('an amount that a shadow limit has no room for is not reserved in it', async () => {
    const shadow = limitOf({ name: 'shadow', of: 'tokens', limit: 100, mode: 'shadow' });
    await nodes.reserve({ tokens: 200 }, 'r1', [tokens, shadow]);
    const { states } = await nodes.limiter.check(requestOf([tokens, shadow], { peek: true, withUse: true }));
    expect(states.map((state) => state.use)).toEqual([
      { used: 0, reserved: 200 },
      { used: 0, reserved: 0 },
    ]);
  });
});

describe('restoration', () => {
  test('a total that still contains returned units does not raise a quota', async () => {
    const handle = await nodes.reserve({ usd: 1_000 });
    await nodes.limiter.check(requestOf(limits, { amounts: { usd: 500 } }));
    await nodes.limiter.settle(handle, { usd: 300 });
    expect(await nodes.limiter.raiseQuota('acme', spend, startMs, 1_500)).toEqual({
      before: 800,
      after: 800,
    });
    nodes.nowMs += 20 * 60_000;
    expect(await nodes.limiter.raiseQuota('acme', spend, startMs, 800)).toEqual({ before: 800, after: 800 });
    expect(await nodes.limiter.raiseQuota('acme', spend, startMs, 1_000)).toEqual({
      before: 800,
      after: 1_000,
    });
  });

  test('a quota of another quantity is raised up to 2^48 - 1 units', async () => {
    const most = 2 ** 48 - 1;
    expect(await nodes.limiter.raiseQuota('acme', spend, startMs, most)).toEqual({ before: 0, after: most });
    await expect(nodes.limiter.raiseQuota('acme', spend, startMs, most + 1)).rejects.toMatchObject({
      code: 'REDIS_VALUE_REFUSED',
    });
  });
});
