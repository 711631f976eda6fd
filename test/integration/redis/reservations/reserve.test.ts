import { describe, expect, test } from 'vitest';
import { limitOf, requestOf } from '../limiters.ts';
import { createNodes, hourMs, limits, many, requestFor, spend } from './fixture.ts';

const nodes = createNodes();

describe('amounts', () => {
  test('a check charges the amount of each quantity to the limits of that quantity', async () => {
    expect(
      await nodes.limiter.check(requestOf(limits, { cost: 2, amounts: { tokens: 300, usd: 1_000 } })),
    ).toMatchObject({
      ...{ passed: true, reservation: null },
      states: [{ of: 'requests' }, { of: 'tokens', remaining: 700 }, { of: 'usd' }],
    });
    expect(await nodes.left()).toEqual([8, 700, 4_999_000]);
  });

  test('a check is charged to the limits of all quantities or to none', async () => {
    const { passed, states } = await nodes.limiter.check(
      requestOf(limits, { amounts: { tokens: 1001, usd: 1 } }),
    );
    expect(passed).toBe(false);
    expect(states.map(({ violated }) => violated)).toEqual([false, true, false]);
    expect(await nodes.left()).toEqual([10, 1000, 5_000_000]);
  });

  test('an amount of 0 passes while less than the limit is used, and charges nothing', async () => {
    await nodes.limiter.check(requestOf(limits, { amounts: { tokens: 999 } }));
    expect(await nodes.limiter.check(requestOf(limits))).toMatchObject({ passed: true });
    await nodes.limiter.check(requestOf(limits, { amounts: { tokens: 1 } }));
    expect(await nodes.limiter.check(requestOf(limits, { amounts: { tokens: 0 } }))).toMatchObject({
      ...{ passed: false, reason: 'limit' },
      states: [{}, { violated: true, retryAfterMs: 60_000 }, {}],
    });
  });

  test.each([{ tokens: -1 }, { tokens: 0.5 }, { tokens: 2 ** 48 }, { usd: Number.NaN }])(
    'the amounts %j are refused and charge nothing',
    async (amounts) => {
      expect(await nodes.limiter.check(requestFor(amounts))).toMatchObject({
        passed: false,
        reason: 'invalid',
      });
      expect(await nodes.left()).toEqual([10, 1000, 5_000_000]);
      expect(await nodes.limiter.findReservation('acme', 'r1')).toBeNull();
    },
  );

  test('a quota counts up to 2^48 - 1 units, and a sliding window with a larger limit never exceeds its bound', async () => {
    const large = { ...spend, limit: 2 ** 48 - 1 };
    const sliding = limitOf({ name: 'wide', of: 'usd', limit: 2 ** 48 - 1 });
    await nodes.limiter.check(requestOf([large], { amounts: { usd: 2 ** 48 - 2 } }));
    expect(await nodes.left([large])).toEqual([1]);
    expect(await nodes.limiter.check(requestOf([sliding], { amounts: { usd: 2 ** 40 - 1 } }))).toMatchObject({
      passed: true,
    });
    expect(await nodes.limiter.check(requestOf([sliding], { amounts: { usd: 1 } }))).toMatchObject({
      passed: false,
    });
  });

  test('a refund returns the amount of each quantity to its own limits', async () => {
    await nodes.limiter.check(requestOf(limits, { cost: 3, amounts: { tokens: 300, usd: 1_000 } }));
    expect(
      await nodes.limiter.refund(requestOf(limits, { cost: 2, amounts: { tokens: 100, usd: 400 } }), true),
    ).toBe(2);
    expect(await nodes.left()).toEqual([9, 800, 4_999_400]);
  });
});

describe('reserve', () => {
  test('a second check with the same id charges nothing and returns what was stored, on every node', async () => {
    await nodes.reserve({ tokens: 300 });
    const again = await nodes.other.check(requestFor({ tokens: 5 }));
    expect(again).toMatchObject({
      ...{ passed: true, reason: null },
      reservation: { existing: { state: 'open', details: 'details of r1' }, handle: { id: 'r1' } },
    });
    await nodes.limiter.settle(again.reservation!.handle, { tokens: 40 });
    expect(await nodes.left()).toEqual([9, 960, 5_000_000]);
    expect(await nodes.other.check(requestFor({ tokens: 5 }))).toMatchObject({
      reservation: { existing: { state: 'settled' }, handle: { settlement: 1 } },
    });
  });

  test('several checks with the same id in one call charge once', async () => {
    const results = await Promise.all(
      Array.from({ length: 5 }, () => nodes.limiter.check(requestFor({ tokens: 10 }))),
    );
    expect(results.filter(({ reservation }) => reservation?.existing === null)).toHaveLength(1);
    expect(await nodes.left()).toEqual([9, 990, 5_000_000]);
  });

  test('a refused check and a peek store nothing', async () => {
    expect(await nodes.limiter.check(requestFor({ tokens: 1001 }))).toMatchObject({
      passed: false,
      reservation: null,
    });
    expect(await nodes.limiter.check({ ...requestFor({ tokens: 1 }), peek: true })).toMatchObject({
      ...{ passed: true, reservation: null },
    });
    expect(await nodes.limiter.findReservation('acme', 'r1')).toBeNull();
  });

  test('a reservation without limits is stored and found', async () => {
    const handle = await nodes.reserve({ tokens: 5 }, 'r1', []);
    expect(await nodes.other.findReservation('acme', 'r1')).toMatchObject({ amounts: { tokens: 5 } });
    expect(await nodes.limiter.settle(handle, { tokens: 7 })).toEqual({
      outcome: 'applied',
      amounts: { tokens: 7 },
    });
  });

  test('a tenant does not find the reservation of another tenant', async () => {
    await nodes.reserve({ tokens: 5 });
    expect(await nodes.limiter.findReservation('globex', 'r1')).toBeNull();
    await nodes.limiter.check({ ...requestFor({ tokens: 7 }), tenantId: 'globex' });
    expect(await nodes.limiter.findReservation('acme', 'r1')).toMatchObject({ amounts: { tokens: 5 } });
  });

  test('200 concurrent reservations for a budget of 50 on two nodes admit exactly 50', async () => {
    const budget = [limitOf({ name: 'budget', of: 'tokens', limit: 50_000 })];
    const results = await Promise.all(
      Array.from({ length: 200 }, (_, index) =>
        (index % 2 === 0 ? nodes.limiter : nodes.other).check(
          requestFor({ tokens: 1000 }, `c${index}`, budget),
        ),
      ),
    );
    const admitted = results.flatMap(({ passed, reservation }) =>
      passed && reservation ? [reservation.handle] : [],
    );
    expect(admitted).toHaveLength(50);
    expect(await nodes.left(budget)).toEqual([0]);
    await Promise.all(
      admitted.map((handle, index) =>
        (index % 2 === 0 ? nodes.other : nodes.limiter).settle(handle, { tokens: 400 }),
      ),
    );
    expect(await nodes.left(budget)).toEqual([30_000]);
  });
});

describe('extend', () => {
  test('an extension is charged if all limits have room, and once for its number', async () => {
    const handle = await nodes.reserve({ tokens: 300, usd: 10 });
    expect(await nodes.limiter.extend(handle, { tokens: 600 }, 1)).toMatchObject({
      passed: true,
      reason: null,
    });
    const found = await nodes.other.findReservation('acme', 'r1');
    expect(await nodes.other.extend(found!.handle, { tokens: 600 }, 1)).toMatchObject({ passed: true });
    expect(await nodes.other.extend(found!.handle, { tokens: 101 }, 2)).toMatchObject({
      ...{ passed: false, reason: 'limit', degraded: false },
      states: [
        { name: 'minute' },
        { name: 'tokens', of: 'tokens', limit: 1000, remaining: 100, violated: true },
        {},
      ],
    });
    expect(await nodes.left()).toEqual([9, 100, 4_999_990]);
    expect(await nodes.limiter.settle(handle, { tokens: 250 })).toMatchObject({ outcome: 'applied' });
    expect(await nodes.left()).toEqual([9, 750, 4_999_990]);
  });

  test('a limit whose amount is not extended does not refuse an extension', async () => {
    const handle = await nodes.reserve({ tokens: 300 });
    await nodes.limiter.check(requestOf(limits, { cost: 9 }));
    expect(await nodes.limiter.extend(handle, { tokens: 1 })).toMatchObject({ passed: true });
  });

  test('a settled reservation cannot be extended, an expired one can', async () => {
    const handle = await nodes.reserve({ tokens: 300 });
    nodes.nowMs += 600_000;
    expect(await nodes.other.findReservation('acme', 'r1')).toMatchObject({ state: 'expired' });
    expect(await nodes.limiter.extend(handle, { tokens: 1 })).toMatchObject({ passed: true });
    await nodes.limiter.settle(handle, { tokens: 300 });
    expect(await nodes.limiter.extend(handle, { tokens: 1 })).toMatchObject({
      passed: false,
      reason: 'not_open',
    });
  });

  test('a reservation has at most 256 extensions, and its record stays below 64 kB', async () => {
    const handle = await nodes.reserve({ tokens: 0 }, 'r1', [many]);
    for (let sequence = 1; sequence <= 256; sequence += 1) {
      nodes.nowMs += 10;
      expect(await nodes.limiter.extend(handle, { tokens: 1 })).toMatchObject({ passed: true });
    }
    expect(await nodes.limiter.extend(handle, { tokens: 1 })).toMatchObject({
      passed: false,
      reason: 'too_many',
    });
    for (let late = 1; late <= 300; late += 1) await nodes.limiter.settle(handle, { tokens: 256 + late });
    expect(await nodes.left([many])).toEqual([64_000 - 556]);
    expect(await nodes.redis.memory('USAGE', `${nodes.prefix}:{acme}:r:r1`, 'SAMPLES', 0)).toBeLessThan(
      64_000,
    );
    await nodes.limiter.settle(handle, { tokens: 0 });
    const [units = 0] = await nodes.left([many]);
    expect(units).toBeLessThanOrEqual(64_000);
  });

  test('a record expires a day after the end of its reservation', async () => {
    await nodes.reserve({ tokens: 1 });
    const ttlMs = await nodes.redis.pttl(`${nodes.prefix}:{acme}:r:r1`);
    expect(ttlMs).toBeGreaterThan(24 * hourMs);
    expect(ttlMs).toBeLessThanOrEqual(24 * hourMs + 600_000);
  });
});
