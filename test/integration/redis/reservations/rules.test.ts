import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { RedisClient } from '../../../../shared/redis/client.ts';
import type { CheckRequest } from '../../../../shared/redis/decision/check.ts';
import type { Limiter } from '../../../../shared/redis/decision/limiter.ts';
import type { Reservation } from '../../../../shared/redis/reservations/reservation.ts';
import { servers, uniqueName } from '../../../support/servers.ts';
import { connected, limitOf, limiterOn, requestOf } from '../limiters.ts';

let redis: RedisClient;
beforeAll(async () => void (redis = await connected(servers().redisUrl)));
afterAll(() => redis.disconnect());

let nowMs: number;
const time = { now: () => nowMs };
let prefix: string;
let limiter: Limiter;
let other: Limiter;
beforeEach(() => {
  nowMs = Date.UTC(2026, 0, 15, 12);
  prefix = uniqueName('reservations');
  limiter = limiterOn(redis, prefix, { redisTime: time, clock: time });
  other = limiterOn(redis, prefix, { redisTime: time, clock: time });
});
afterEach(() => Promise.all([limiter.close(), other.close()]));

const requests = limitOf({ limit: 10 });
const tokens = limitOf({ name: 'tokens', of: 'tokens', limit: 1000 });
const manyTokens = limitOf({ name: 'many', of: 'tokens', limit: 64_000, windowMs: 64_000 });
const spend = limitOf({
  ...{
    name: 'spend',
    of: 'usd',
    type: 'quota',
    period: 'month',
    windowMs: 30 * 86_400_000,
    limit: 5_000_000,
  },
});
const limits = [requests, tokens, spend];

function reserveRequest(amounts: CheckRequest['amounts'], id = 'r1', changes: Partial<CheckRequest> = {}) {
  const reservation = { id, expiresMs: 600_000, details: `details of ${id}` };
  return requestOf(limits, { ...(amounts && { amounts }), reservation, ...changes });
}

async function reserve(amounts: CheckRequest['amounts'], id?: string): Promise<Reservation> {
  const { passed, reservation } = await limiter.check(reserveRequest(amounts, id));
  expect(passed).toBe(true);
  if (reservation === null) throw new Error('no reservation');
  return reservation.handle;
}

/** Remaining units of all limits. */
async function left(of = limits): Promise<number[]> {
  const { states } = await other.check(requestOf(of, { peek: true }));
  return states.map(({ remaining }) => remaining);
}

describe('reserve', () => {
  test('charges the amount of each quantity to the limits of that quantity', async () => {
    await reserve({ tokens: 300, usd: 1_000 });
    expect(await left()).toEqual([9, 700, 4_999_000]);
  });

  test('settles less', async () => {
    const handle = await reserve({ tokens: 300, usd: 1_000 });
    nowMs += 1000;
    expect(await limiter.settle(handle, { tokens: 120, usd: 400 })).toEqual({
      outcome: 'applied',
      amounts: { tokens: 120, usd: 400 },
    });
    expect(await left()).toEqual([9, 880, 4_999_600]);
    expect(await other.findReservation('acme', 'r1')).toMatchObject({
      state: 'settled',
      amounts: { tokens: 120 },
    });
    const found = await other.findReservation('acme', 'r1');
    expect(await other.settle(found!.handle, { tokens: 450 })).toMatchObject({ outcome: 'applied' });
    expect(await left()).toEqual([9, 550, 4_999_600]);
    expect(await limiter.settle(handle, { tokens: 1 })).toMatchObject({ outcome: 'superseded' });
    expect(await left([manyTokens])).toEqual([64_000]);
  });

  test('extends', async () => {
    const handle = await reserve({ tokens: 300, usd: 1_000 });
    nowMs += 10;
    expect(await limiter.extend(handle, { tokens: 700 })).toMatchObject({ passed: true });
    expect(await limiter.extend(handle, { tokens: 1 })).toMatchObject({ passed: false, reason: 'limit' });
    expect(await limiter.cancel(handle)).toMatchObject({ outcome: 'applied' });
    expect(await left()).toEqual([10, 1000, 5_000_000]);
  });
});
