// Goal: a quota keeps its used units when the tenant's time zone is changed, and ends with the period of the new zone.
import fc from 'fast-check';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { periodAt } from '../../../shared/domain/time/calendar.ts';
import type { RedisClient } from '../../../shared/redis/client.ts';
import type { Limiter } from '../../../shared/redis/decision/limiter.ts';
import { createLocalLedger } from '../../../shared/redis/fallback/local-ledger.ts';
import { createLocalLimiter } from '../../../shared/redis/fallback/local-limiter.ts';
import { createPeriodCache } from '../../../shared/redis/decision/periods.ts';
import { createSubjects } from '../../../shared/redis/decision/subjects.ts';
import { shapeOf } from '../../../shared/redis/decision/windows.ts';
import { servers, uniqueName } from '../../support/servers.ts';
import { connected, limitOf, limiterOn, requestOf } from './limiters.ts';

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

async function left(timeZone: string, cost = 1, peek = true): Promise<number | undefined> {
  const { states } = await limiter.check(requestOf([day], { timeZone, cost, peek }));
  return states[0]?.remaining;
}

const take = (timeZone: string, cost: number) => left(timeZone, cost, false);

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
    limiter.raiseQuota('acme', day, tokyo, consumed, { timeZone: 'Asia/Tokyo' });
  expect(await raise(85)).toEqual({ before: 60, after: 85 });
  expect(await raise(10)).toEqual({ before: 85, after: 85 });
  const angeles = periodAt('day', 'America/Los_Angeles', nowMs).startMs;
  await limiter.raiseQuota('acme', day, angeles, 30, { timeZone: 'America/Los_Angeles' });
  expect(await left('America/Los_Angeles')).toBe(15);
});

test('a reset stays in effect when the zone is changed after it', async () => {
  await take('UTC', 60);
  await limiter.reset('acme');
  await take('UTC', 5);
  expect(await left('America/Los_Angeles')).toBe(95);
});

test('a counter that tenants share has UTC days, in whatever time zones the tenants are', async () => {
  const shared = limitOf({ ...day, name: 'shared', per: ['global'] });
  const used = async (timeZone: string, cost: number): Promise<number> => {
    const { states } = await limiter.check(requestOf([shared], { timeZone, cost }));
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
          const request = requestOf([big], { timeZone: zone });
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
    const request = requestOf([day], { timeZone: zone, cost });
    const shape = shapeOf(request.limits, true, true, zone);
    const kinds = shape.subjects.map((kind) => subjects.of(kind, request));
    return local.decide({ request, shape, subjects: kinds }, nowMs)[0]?.remaining;
  };
  expect(remaining('UTC', 60)).toBe(40);
  expect(remaining('America/Los_Angeles', 10)).toBe(30);
  expect(remaining('Asia/Tokyo', 10)).toBe(20);
});
