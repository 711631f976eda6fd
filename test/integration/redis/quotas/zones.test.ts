// Goal: a quota keeps its used units when the tenant's time zone is changed, and ends with the period of the new zone.
import fc from 'fast-check';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { periodAt } from '../../../../shared/domain/time/calendar.ts';
import type { RedisClient } from '../../../../shared/redis/client.ts';
import type { Limiter } from '../../../../shared/redis/decision/limiter.ts';
import { createLocalLedger } from '../../../../shared/redis/fallback/local-ledger.ts';
import { createLocalLimiter } from '../../../../shared/redis/fallback/local-limiter.ts';
import { createPeriodCache } from '../../../../shared/redis/decision/periods.ts';
import { createSubjects } from '../../../../shared/redis/decision/subjects.ts';
import { shapeOf } from '../../../../shared/redis/decision/windows.ts';
import { servers, uniqueName } from '../../../support/servers.ts';
import { connected, limitOf, limiterOn, requestOf } from '../limiters.ts';

const day = limitOf({ name: 'day', type: 'quota', period: 'day', windowMs: 86_400_000, limit: 100 });
const noon = Date.UTC(2026, 5, 10, 12);
let redis: RedisClient;
let limiter: Limiter;
let nowMs: number;
const clock = { now: () => nowMs };

beforeAll(async () => void (redis = await connected(servers().redisUrl)));
afterAll(() => redis.disconnect());

beforeEach(() => {
  nowMs = noon;
  limiter = limiterOn(redis, uniqueName('zones'), { clock, redisTime: clock });
  return () => limiter.close();
});

async function left(calendar: string, cost = 1, peek = true): Promise<number | undefined> {
  const { states } = await limiter.check(requestOf([day], { calendar, cost, peek }));
  return states[0]?.remaining;
}

const take = (calendar: string, cost: number) => left(calendar, cost, false);

test.each([
  ['America/Los_Angeles', Date.UTC(2026, 5, 11, 7)],
  ['Asia/Tokyo', Date.UTC(2026, 5, 10, 15)],
  ['Pacific/Kiritimati', Date.UTC(2026, 5, 11, 10)],
  ['Pacific/Pago_Pago', Date.UTC(2026, 5, 10, 11) + 86_400_000],
])('from UTC to %s at noon: the use of the day stays, until that zone begins a day', async (zone, endMs) => {
  expect(await take('UTC', 60)).toBe(40);
  expect(await left(zone)).toBe(40);
  expect(await take(zone, 10)).toBe(30);
  nowMs = endMs - 1;
  expect(await left(zone)).toBe(30);
  nowMs = endMs;
  expect(await left(zone)).toBe(100);
});

test('nodes that receive the change at different times do not lose units of each other', async () => {
  await take('UTC', 20);
  for (const zone of ['Asia/Tokyo', 'UTC', 'America/Los_Angeles', 'UTC', 'Asia/Tokyo']) await take(zone, 5);
  expect(await left('Asia/Tokyo')).toBe(55);
});

test('a period that was over before the new one began does not count', async () => {
  await take('UTC', 60);
  nowMs += 2 * 86_400_000;
  expect(await left('America/Los_Angeles')).toBe(100);
  expect(await left('Asia/Tokyo')).toBe(100);
});

test('a restoration in the new zone adds the units from before the old day, and never lowers the counter', async () => {
  await take('UTC', 60);
  const tokyo = periodAt('day', 'Asia/Tokyo', nowMs).startMs;
  const raise = (consumed: number) =>
    limiter.raiseQuota('acme', day, tokyo, consumed, { calendar: 'Asia/Tokyo' });
  expect(await raise(85)).toEqual({ before: 60, after: 85 });
  expect(await raise(10)).toEqual({ before: 85, after: 85 });
  const angeles = periodAt('day', 'America/Los_Angeles', nowMs).startMs;
  await limiter.raiseQuota('acme', day, angeles, 30, { calendar: 'America/Los_Angeles' });
  expect(await left('America/Los_Angeles')).toBe(15);
});

describe('a change of the billing day', () => {
  const month = limitOf({ ...day, name: 'month', period: 'month', windowMs: 30 * 86_400_000 });
  const monthLeft = async (billingDay: number, cost = 1, peek = true): Promise<number | undefined> => {
    const calendar = `UTC@${billingDay}`;
    const { states } = await limiter.check(requestOf([month], { calendar, cost, peek }));
    return states[0]?.remaining;
  };
  const raise = (billingDay: number, consumed: number) => {
    const calendar = `UTC@${billingDay}`;
    const { startMs } = periodAt('month', calendar, nowMs);
    return limiter.raiseQuota('acme', month, startMs, consumed, { calendar });
  };

  test.each([5, 8, 15, 31])(
    'to day %i keeps the use until the month of the new day is over',
    async (billingDay) => {
      expect(await monthLeft(1, 60, false)).toBe(40);
      expect(await monthLeft(billingDay)).toBe(40);
      expect(await monthLeft(billingDay, 10, false)).toBe(30);
      nowMs = periodAt('month', `UTC@${billingDay}`, nowMs).endMs - 1;
      expect(await monthLeft(billingDay)).toBe(30);
      nowMs += 1;
      expect(await monthLeft(billingDay)).toBe(100);
    },
  );

  test('ends the use with the new month also for a tenant without traffic, after the reconciler saw it', async () => {
    await monthLeft(1, 60, false);
    // The new month began on 15 May and ends on 15 June, while the old one would end on 1 July.
    expect(await raise(15, 20)).toEqual({ before: 60, after: 60 });
    nowMs = Date.UTC(2026, 5, 15);
    expect(await monthLeft(15)).toBe(100);
  });

  test('raises the counter to the units since the new month began', async () => {
    await monthLeft(9, 60, false);
    expect(await raise(1, 85)).toEqual({ before: 60, after: 85 });
    expect(await monthLeft(1)).toBe(15);
  });
});

test('tenants of one limit with different billing days start anew on their own days', async () => {
  const month = limitOf({
    ...day,
    name: 'month',
    period: 'month',
    windowMs: 30 * 86_400_000,
    billingDay: 11,
  });
  const of = async (tenantId: string, calendar: string | null, cost: number): Promise<number | undefined> => {
    const { states } = await limiter.check(requestOf([month], { tenantId, calendar, cost }));
    return states[0]?.remaining;
  };
  for (const tenant of ['a', 'b', 'c']) expect(await of(tenant, null, 60)).toBe(40);
  expect(await of('d', 'UTC@12', 60)).toBe(40);
  nowMs = Date.UTC(2026, 5, 11);
  expect(await of('a', null, 1)).toBe(99);
  expect(await of('d', 'UTC@12', 1)).toBe(39);
  nowMs = Date.UTC(2026, 5, 12);
  expect(await of('d', 'UTC@12', 1)).toBe(99);
});

test('a reset stays in effect when the zone is changed after it', async () => {
  await take('UTC', 60);
  await limiter.reset('acme');
  await take('UTC', 5);
  expect(await left('America/Los_Angeles')).toBe(95);
});

test('a counter that tenants share has UTC days, in whatever time zones the tenants are', async () => {
  const shared = limitOf({ ...day, name: 'shared', per: ['global'] });
  const used = async (calendar: string, cost: number): Promise<number> => {
    const { states } = await limiter.check(requestOf([shared], { calendar, cost }));
    return 100 - (states[0]?.remaining ?? 0);
  };
  expect(await used('UTC', 10)).toBe(10);
  expect(await used('America/Los_Angeles', 10)).toBe(20);
  expect(await used('Asia/Tokyo', 10)).toBe(30);
  nowMs = Date.UTC(2026, 5, 11);
  expect(await used('America/Los_Angeles', 10)).toBe(10);
  nowMs = Date.UTC(2026, 5, 11, 15);
  expect(await used('Asia/Tokyo', 10)).toBe(20);
});

test('for any time zones and times, no period loses the units of an overlapping period before it', async () => {
  const seed = Date.now() % 1_000_000;
  console.log(`zones: fast-check seed ${seed}`);
  const zones = [
    'UTC',
    'Asia/Tokyo',
    'America/Los_Angeles',
    'Asia/Kolkata',
    'Pacific/Apia',
    'America/Santiago',
  ];
  const big = limitOf({ ...day, limit: 1_000_000 });
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.record({ zone: fc.constantFrom(...zones), waitMs: fc.nat({ max: 30 * 3_600_000 }) }), {
        minLength: 2,
        maxLength: 12,
      }),
      async (steps) => {
        const prefix = uniqueName('zones');
        const one = limiterOn(redis, prefix, { clock, redisTime: clock });
        const local = createLocalLimiter({
          ledger: createLocalLedger({ onDropped: () => undefined }),
          nodes: () => 1,
          periods: createPeriodCache(),
        });
        const subjects = createSubjects(prefix);
        nowMs = Date.UTC(2026, 8, 4);
        let last = { startMs: 0, endMs: 0 };
        /** Times of the charges that still count; emptied by a period that does not overlap the previous period. */
        let kept: number[] = [];
        for (const { zone, waitMs } of steps) {
          nowMs += waitMs;
          const period = periodAt('day', zone, nowMs);
          if (last.endMs <= period.startMs) kept = [];
          kept.push(nowMs);
          last = period;
          const request = requestOf([big], { calendar: zone });
          const { states } = await one.check(request);
          const shape = shapeOf(request.limits, true, true, zone);
          const kinds = shape.subjects.map((kind) => subjects.of(kind, request));
          const [alone] = local.decide({ request, shape, subjects: kinds }, nowMs);
          const inPeriod = kept.filter((atMs) => atMs >= period.startMs).length;
          expect(1_000_000 - (states[0]?.remaining ?? 0)).toBeGreaterThanOrEqual(inPeriod);
          expect(1_000_000 - (alone?.remaining ?? 0)).toBeGreaterThanOrEqual(inPeriod);
        }
        await one.close();
      },
    ),
    { seed, numRuns: 60 },
  );
});

test('D1: without Redis too, the used units of the day stay when the zone is changed', () => {
  const local = createLocalLimiter({
    ledger: createLocalLedger({ onDropped: () => undefined }),
    nodes: () => 1,
    periods: createPeriodCache(),
  });
  const subjects = createSubjects('zones');
  const remaining = (zone: string, cost: number): number | undefined => {
    const request = requestOf([day], { calendar: zone, cost });
    const shape = shapeOf(request.limits, true, true, zone);
    const kinds = shape.subjects.map((kind) => subjects.of(kind, request));
    return local.decide({ request, shape, subjects: kinds }, nowMs)[0]?.remaining;
  };
  expect(remaining('UTC', 60)).toBe(40);
  expect(remaining('America/Los_Angeles', 10)).toBe(30);
  expect(remaining('Asia/Tokyo', 10)).toBe(20);
});
