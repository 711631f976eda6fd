// Goal: after the clock of Redis was wrong for a moment, a tenant is refused for at most one window, even if the clock
// was wrong by an hour, and at most the limit is admitted in the next window. Method: a real redis-server whose
// wall clock is changed while limiters, permits and leases use it.
import { pino } from 'pino';
import { Registry } from 'prom-client';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { RedisClient } from '../../../shared/redis/client.ts';
import { runLeases } from '../../../shared/redis/leases/leases.ts';
import { createLimiter } from '../../../shared/redis/decision/limiter.ts';
import type { Limiter } from '../../../shared/redis/decision/limiter.ts';
import { readScript, runScript } from '../../../shared/redis/scripts.ts';
import { passing } from '../../faults/whole-path/faults.ts';
import { setClockFor } from '../../faults/clocks/faults.ts';
import { createSettableClock } from '../../faults/clocks/set-clock.ts';
import type { SettableClock } from '../../faults/clocks/set-clock.ts';
import { eventually, startRedis, uniqueName } from '../../support/servers.ts';
import { connected, limitOf, requestOf } from './limiters.ts';

const hourMs = 3_600_000;

let clock: SettableClock;
let server: Awaited<ReturnType<typeof startRedis>>;
let redis: RedisClient;
let prefix: string;

beforeAll(async () => {
  clock = await createSettableClock();
  server = await startRedis({ env: clock.env });
  redis = await connected(server.url);
});
afterAll(async () => {
  redis.disconnect();
  await server.dispose();
  clock.dispose();
});
beforeEach(() => {
  clock.set(0);
  prefix = uniqueName('clock');
});

interface Watched {
  readonly limiter: Limiter;
  readonly lines: string[];
  readonly corrected: () => Promise<number>;
}

function watchedLimiter(now: () => number = Date.now): Watched {
  const registry = new Registry();
  const lines: string[] = [];
  const write = (line: string): void => void lines.push(line);
  const limiter = createLimiter({
    redis,
    keyPrefix: prefix,
    clock: { now },
    registry,
    logger: pino({ level: 'warn' }, { write }),
    callTimeoutMs: 10_000,
  });
  const corrected = async (): Promise<number> => {
    const metrics = await registry.getMetricsAsJSON();
    const found = metrics.find(({ name }) => name === 'tollgate_redis_stamps_corrected_total');
    return found?.values[0]?.value ?? Number.NaN;
  };
  return { limiter, lines, corrected };
}

const spanMs = 1_500;
/** The time in which even a slow machine makes 300 checks one after the other. */
const longSpanMs = 10_000;
const windows = [
  { title: 'an exact window', limit: limitOf({ limit: 5, windowMs: spanMs }), cost: 1 },
  { title: 'a window of buckets', limit: limitOf({ limit: 5_000, windowMs: spanMs }), cost: 1_000 },
  { title: 'a window with a burst', limit: limitOf({ limit: 4, burst: 1, windowMs: spanMs }), cost: 1 },
  { title: 'a long window', limit: limitOf({ limit: 300, windowMs: longSpanMs }), cost: 1 },
];

describe('sliding windows', () => {
  test.each(windows)(
    'B5: $title that filled while the clock of Redis was an hour ahead has room one span later, and not before',
    async ({ limit, cost }) => {
      const { limiter, lines, corrected } = watchedLimiter();
      const check = (peek = false) => limiter.check(requestOf([limit], { cost, peek }));
      const calls = (limit.limit + limit.burst) / cost;
      for (let call = 0; call < calls; call += 1) {
        clock.set(hourMs + call);
        expect((await check()).passed).toBe(true);
      }
      const filledAt = performance.now();
      expect((await check()).passed).toBe(false);
      clock.set(0);
      // Peeks and refused checks do not extend the time for which the tenant is refused.
      const [first] = (await check(true)).states;
      expect(first).toMatchObject({ violated: true, remaining: 0 });
      expect(first?.retryAfterMs).toBeLessThanOrEqual(limit.windowMs + 1);
      await eventually(async () => (await check()).passed, { intervalMs: 10 });
      expect(performance.now() - filledAt).toBeGreaterThanOrEqual(limit.windowMs - 1);
      expect(await corrected()).toBe(1);
      expect(lines.filter((line) => line.includes('ahead of the clock'))).toHaveLength(1);
      await limiter.close();
    },
  );

  test('A4: waiting exactly Retry-After succeeds after the clock of Redis was set back', async () => {
    const { limiter } = watchedLimiter();
    const limit = limitOf({ limit: 3, windowMs: spanMs });
    const wrong = setClockFor(clock, hourMs, 200);
    for (let call = 0; call < 3; call += 1) await limiter.check(requestOf([limit]));
    await wrong;
    const refused = await limiter.check(requestOf([limit]));
    expect(refused.passed).toBe(false);
    await passing(refused.states[0]?.retryAfterMs ?? 0);
    expect((await limiter.check(requestOf([limit]))).passed).toBe(true);
    await limiter.close();
  });

  test('units counted before the clock of Redis was ahead keep their timestamps', async () => {
    const { limiter, corrected } = watchedLimiter();
    const limit = limitOf({ limit: 4, windowMs: 2 * hourMs });
    const take = () => limiter.check(requestOf([limit]));
    clock.set(-1.5 * hourMs);
    await take();
    await take();
    clock.set(0.25 * hourMs);
    await take();
    clock.set(0);
    const { states } = await take();
    expect(states[0]).toMatchObject({ remaining: 0 });
    expect(await corrected()).toBe(1);
    // The first two units expire at their normal time, the other two units one window after the clock was corrected.
    clock.set(0.6 * hourMs);
    expect((await limiter.check(requestOf([limit], { peek: true }))).states[0]?.remaining).toBe(2);
    clock.set(1.9 * hourMs);
    expect((await limiter.check(requestOf([limit], { peek: true }))).states[0]?.remaining).toBe(2);
    clock.set(2.1 * hourMs);
    expect((await limiter.check(requestOf([limit], { peek: true }))).states[0]?.remaining).toBe(4);
    await limiter.close();
  });

  test('after the clock of Redis is set back by less than a second, no timestamp is corrected', async () => {
    const { limiter, corrected } = watchedLimiter();
    const limit = limitOf({ limit: 2, windowMs: spanMs });
    clock.set(800);
    await limiter.check(requestOf([limit]));
    clock.set(0);
    expect((await limiter.check(requestOf([limit]))).states[0]?.remaining).toBe(0);
    expect(await corrected()).toBe(0);
    await limiter.close();
  });
});

test('C1: a daily quota continues in its own day after the clock of Redis was a day ahead, and is restored in it', async () => {
  const { limiter } = watchedLimiter();
  const day = limitOf({ name: 'day', type: 'quota', period: 'day', windowMs: 24 * hourMs, limit: 10 });
  const take = () => limiter.check(requestOf([day]));
  const endOfDay = (await take()).states[0]?.resetAtMs;
  clock.set(24 * hourMs);
  await take();
  await take();
  clock.set(0);
  const { states } = await take();
  expect(states[0]).toMatchObject({ resetAtMs: endOfDay, remaining: 7 });
  const startOfDay = (endOfDay ?? 0) - 24 * hourMs;
  expect(await limiter.raiseQuota('acme', day, startOfDay, 4)).toEqual({ before: 3, after: 4 });
  await limiter.close();
});

describe('leases', () => {
  const leaseMs = 400;

  test('A8: a session that died while the clock of Redis was ahead ends with its lease', async () => {
    const key = `${prefix}:sessions`;
    const bounds = { leaseMs, limit: 1 };
    clock.set(hourMs);
    expect(await runLeases(redis, key, 'acquire', bounds, ['dead'])).toMatchObject({ done: 1 });
    clock.set(0);
    expect(await runLeases(redis, key, 'acquire', bounds, ['next'])).toMatchObject({ done: 0, live: 1 });
    await eventually(async () => (await runLeases(redis, key, 'acquire', bounds, ['next'])).done === 1);
  });

  test('A7: permits of a node that died while the clock of Redis was ahead are free after its lease', async () => {
    const script = readScript('permits');
    const acquire = (node: string) =>
      runScript(redis, script, [`${prefix}:permits`], [node, 10, 10, leaseMs]);
    clock.set(hourMs);
    expect(await acquire('dead')).toEqual([10, 10]);
    clock.set(0);
    expect(await acquire('next')).toEqual([0, 10]);
    await eventually(async () => ((await acquire('next')) as number[])[0] === 10);
  });

  test('a node that died while the clock of Redis was ahead no longer shares the limits', async () => {
    const script = readScript('heartbeat');
    const heartbeat = (node: string) =>
      runScript(redis, script, [`${prefix}:nodes`, `${prefix}:epoch`], [node, leaseMs, 0, 0]);
    clock.set(hourMs);
    await heartbeat('dead');
    clock.set(0);
    expect(await heartbeat('next')).toMatchObject([1, 0, expect.any(Number)]);
  });
});
