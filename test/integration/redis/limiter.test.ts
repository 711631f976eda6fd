import type { Redis } from 'ioredis';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { RedisClient } from '../../../shared/redis/client.ts';
import { eventually, servers, uniqueName } from '../../support/servers.ts';
import { connected, limitOf, limiterOn, requestOf } from './limiters.ts';

let redis: RedisClient;
let prefix: string;
let nowMs: number;
const redisTime = { now: () => nowMs };

beforeAll(async () => void (redis = await connected(servers().redisUrl)));
afterAll(() => redis.disconnect());
beforeEach(() => {
  prefix = uniqueName('limiter');
  nowMs = Date.UTC(2026, 5, 1, 12);
});

/** All keys of the test's prefix with their values, byte for byte. */
async function stored(): Promise<Map<string, string>> {
  const keys = (await redis.keys(`${prefix}:*`)).filter((key) => !key.includes('{=nodes}')).sort();
  const dumps = await Promise.all(keys.map((key) => (redis as Redis).dumpBuffer(key)));
  return new Map(keys.map((key, index) => [key, dumps[index]?.toString('hex') ?? '']));
}

const minute = limitOf({ limit: 3 });
const chat = limitOf({ name: 'chat', per: ['user'], limit: 2, windowMs: 10_000, route: 'POST /chat' });
const day = limitOf({ name: 'day', type: 'quota', period: 'day', windowMs: 86_400_000, limit: 5 });
const limits = [minute, day, chat];

describe('what is written', () => {
  test('a peek writes nothing, in any state of the windows', async () => {
    const limiter = limiterOn(redis, prefix, { redisTime, clock: redisTime });
    await limiter.check(requestOf(limits));
    nowMs += 500;
    await limiter.check(requestOf(limits));
    const before = await stored();
    for (const waitMs of [1, 9_600, 10_000, 60_000, 86_400_000]) {
      nowMs += waitMs;
      await limiter.check(requestOf(limits, { peek: true }));
    }
    expect(await stored()).toEqual(before);
    await limiter.close();
  });

  test('a refused request consumes nothing in any window', async () => {
    const limiter = limiterOn(redis, prefix, { redisTime, clock: redisTime });
    await limiter.check(requestOf(limits, { cost: 2 }));
    const before = await stored();
    expect((await limiter.check(requestOf(limits))).passed).toBe(false);
    expect((await limiter.check(requestOf(limits, { userId: null, cost: 4 }))).passed).toBe(false);
    expect(await stored()).toEqual(before);
    await limiter.close();
  });

  test('C5: every key has a time to live that covers its longest window', async () => {
    const limiter = limiterOn(redis, prefix);
    const week = limitOf({ name: 'week', windowMs: 7 * 86_400_000, limit: 100 });
    for (let call = 0; call < 5; call += 1) {
      await limiter.check(requestOf([...limits, week], { userId: `user-${call}` }));
    }
    for (const key of await redis.keys(`${prefix}:*`)) {
      const ttlMs = await redis.pttl(key);
      expect(ttlMs, key).toBeGreaterThan(key.includes('{=nodes}') ? 0 : 20_000);
      expect(ttlMs, key).toBeLessThan(16 * 86_400_000);
    }
    expect(await redis.pttl(`${prefix}:{acme}`)).toBeGreaterThan(7 * 86_400_000);
    await limiter.close();
  });
});

describe('limits that change', () => {
  test('a changed limit keeps the usage, up and down, and from exact to merged entries', async () => {
    const limiter = limiterOn(redis, prefix, { redisTime, clock: redisTime });
    const used = async (limit: number): Promise<number> => {
      const result = await limiter.check(requestOf([limitOf({ limit })], { peek: true }));
      return limit - (result.states[0]?.remaining ?? NaN);
    };
    for (let call = 0; call < 5; call += 1) {
      nowMs += 7;
      await limiter.check(requestOf([limitOf({ limit: 10 })]));
    }
    expect(await used(5000)).toBe(5);
    for (let call = 0; call < 100; call += 1) {
      nowMs += 11;
      await limiter.check(requestOf([limitOf({ limit: 5000 })]));
    }
    expect(await used(500)).toBe(105);
    expect((await limiter.check(requestOf([limitOf({ limit: 50 })]))).passed).toBe(false);
    nowMs += 60_000;
    expect(await used(50)).toBe(0);
    await limiter.close();
  });

  test('C2: tenants, users and addresses are counted separately', async () => {
    const limiter = limiterOn(redis, prefix, { redisTime, clock: redisTime });
    const one = limitOf({ limit: 1 });
    const perUser = limitOf({ name: 'u', per: ['user'], limit: 1 });
    const perIp = limitOf({ name: 'i', per: ['ip'], limit: 1 });
    const passed = async (list: typeof limits, changes = {}): Promise<boolean> =>
      (await limiter.check(requestOf(list, changes))).passed;
    expect(await passed([one])).toBe(true);
    expect(await passed([one])).toBe(false);
    expect(await passed([one], { tenantId: 'globex' })).toBe(true);
    expect(await passed([perUser], { userId: 'u1' })).toBe(true);
    expect(await passed([perUser], { userId: 'u2' })).toBe(true);
    expect(await passed([perUser], { userId: 'u2', tenantId: 'globex' })).toBe(true);
    expect(await passed([perUser], { userId: 'u1' })).toBe(false);
    expect(await passed([perIp], { ip: '2001:db8:1:2::1' })).toBe(true);
    expect(await passed([perIp], { ip: '2001:db8:1:2:ffff::9' }), 'one /64').toBe(false);
    expect(await passed([perIp], { ip: '2001:db8:1:3::1' })).toBe(true);
    expect(await passed([perIp], { ip: '198.51.100.7' })).toBe(true);
    expect(await passed([perIp], { ip: '::ffff:198.51.100.7' }), 'IPv4 in IPv6').toBe(false);
    await limiter.close();
  });

  test('a shadow limit without room refuses nothing and consumes nothing; the other limits consume', async () => {
    const limiter = limiterOn(redis, prefix, { redisTime, clock: redisTime });
    const shadowed = [
      limitOf({ limit: 1, mode: 'shadow' }),
      limitOf({ name: 'hour', limit: 5, windowMs: 3_600_000 }),
    ];
    await limiter.check(requestOf(shadowed));
    const { passed, states } = await limiter.check(requestOf(shadowed));
    expect(passed).toBe(true);
    expect(states.map(({ violated, remaining }) => [violated, remaining])).toEqual([
      [true, 0],
      [false, 3],
    ]);
    await limiter.close();
  });
});

describe('a window of which Redis lost a part', () => {
  /** Charges five units, of which some are in the Redis list, then deletes one of the two keys of the window. */
  async function fillAndLose(key: string): Promise<number[]> {
    const limiter = limiterOn(redis, prefix, { redisTime, clock: redisTime });
    const request = requestOf([limitOf({ limit: 5, windowMs: 1000 })]);
    for (let call = 0; call < 5; call += 1) {
      nowMs += 10;
      await limiter.check(request);
    }
    expect(await redis.del(`${prefix}:{acme}${key}`)).toBe(1);
    const passed: number[] = [];
    for (let at = 0; at < 3000; at += 10) {
      nowMs += 10;
      if ((await limiter.check(request)).passed) passed.push(nowMs);
    }
    await limiter.close();
    return passed;
  }

  test.each([
    ['hash', ''],
    ['list', ':minute:1000'],
  ])(
    'a window whose %s is gone never holds more than its limit from then on, and recovers',
    async (_, key) => {
      const passed = await fillAndLose(key);
      expect(passed.length).toBeGreaterThanOrEqual(10);
      for (const at of passed) {
        expect(passed.filter((other) => other >= at && other < at + 1000).length).toBeLessThanOrEqual(5);
      }
    },
  );
});

describe('reset', () => {
  test('C4: a reset empties all windows of the tenant and its users, and no others', async () => {
    const limiter = limiterOn(redis, prefix, { redisTime, clock: redisTime });
    const remaining = async (tenantId: string): Promise<number[]> =>
      (await limiter.check(requestOf(limits, { tenantId, peek: true }))).states.map(
        (state) => state.remaining,
      );
    for (const tenantId of ['acme', 'globex']) {
      await limiter.check(requestOf(limits, { tenantId }));
      nowMs += 3;
      await limiter.check(requestOf(limits, { tenantId }));
    }
    await limiter.reset('acme');
    expect(await remaining('acme')).toEqual([3, 5, 2]);
    expect(await remaining('globex')).toEqual([1, 3, 0]);
    await limiter.check(requestOf(limits));
    expect(await remaining('acme')).toEqual([2, 4, 1]);
    await limiter.close();
  });

  test('C4: a reset of all tenants reaches the node that sent it at once and every other with its next heartbeat', async () => {
    const [one, two] = [limiterOn(redis, prefix), limiterOn(redis, prefix)];
    const request = requestOf([limitOf({ limit: 1, windowMs: 3_600_000 })]);
    await one.check(request);
    await one.resetAll();
    expect((await one.check({ ...request, peek: true })).passed).toBe(true);
    await eventually(async () => (await two.check({ ...request, peek: true })).passed);
    await two.check(request);
    expect((await one.check(request)).passed, 'counted under the new epoch by both').toBe(false);
    await Promise.all([one.close(), two.close()]);
  });

  test('the global epoch survives the loss of all data', async () => {
    const limiter = limiterOn(redis, prefix);
    await limiter.resetAll();
    await redis.del(`${prefix}:{=nodes}:epoch`);
    await eventually(async () => (await redis.get(`${prefix}:{=nodes}:epoch`)) !== null);
    await limiter.close();
  });
});

describe('restoration of quotas', () => {
  test('a quota is raised to the consumed units, never lowered, and a reset is respected', async () => {
    const limiter = limiterOn(redis, prefix, { redisTime, clock: redisTime });
    const start = Date.UTC(2026, 5, 1);
    const raise = (consumed: number, options = {}) =>
      limiter.raiseQuota('acme', day, start, consumed, options);
    await limiter.check(requestOf([day]));
    expect(await raise(0)).toEqual({ before: 1, after: 1 });
    expect(await raise(3)).toEqual({ before: 1, after: 3 });
    expect(await raise(3)).toEqual({ before: 3, after: 3 });
    await limiter.reset('acme');
    expect(await raise(3)).toEqual({ before: 0, after: 0 });
    expect(await raise(5)).toEqual({ before: 0, after: 2 });
    expect((await limiter.check(requestOf([day], { peek: true }))).states[0]?.remaining).toBe(3);
    nowMs += 86_400_000;
    expect(await raise(9), 'the period is over').toMatchObject({ after: 2 });
    expect((await limiter.check(requestOf([day]))).states[0]?.remaining).toBe(4);
    await limiter.close();
  });

  test('after the loss of the counters, units from before a recorded reset stay excluded', async () => {
    const limiter = limiterOn(redis, prefix, { redisTime, clock: redisTime });
    const start = Date.UTC(2026, 5, 1);
    const raised = await limiter.raiseQuota('acme', day, start, 7, { leastBaseline: 4 });
    expect(raised).toEqual({ before: 0, after: 3 });
    await limiter.close();
  });

  test('quotas follow the calendar of the tenant’s time zone', async () => {
    const limiter = limiterOn(redis, prefix, { redisTime, clock: redisTime });
    const { states } = await limiter.check(requestOf([day], { calendar: 'Asia/Kolkata' }));
    expect(states[0]?.resetAtMs).toBe(Date.UTC(2026, 5, 1, 18, 30));
    const { states: unknown } = await limiter.check(requestOf([day], { calendar: 'Mars/Base' }));
    expect(unknown[0]?.resetAtMs).toBe(Date.UTC(2026, 5, 2));
    await limiter.close();
  });
});

describe('input of callers', () => {
  test.each([
    ['braces', 'a}{b'],
    ['newlines', 'a\r\nSET x 1\r\n'],
    ['10 kB', 'x'.repeat(10_240)],
    ['Unicode', 'Ünïcødé 租户 🏢'],
    ['an empty string', ''],
    ['a prototype', '__proto__'],
    ['our own separator', 'acme:u:ann'],
    ['our own tag', '=ip.192.0.2.1'],
  ])('a tenant id with %s counts apart and never reaches a key raw', async (_, tenantId) => {
    const limiter = limiterOn(redis, prefix, { redisTime, clock: redisTime });
    const list = [limitOf({ limit: 1 }), limitOf({ name: 'u', per: ['user'], limit: 9 })];
    expect((await limiter.check(requestOf(list, { tenantId, userId: tenantId }))).passed).toBe(true);
    expect((await limiter.check(requestOf(list, { tenantId, userId: tenantId }))).passed).toBe(false);
    expect((await limiter.check(requestOf(list))).passed).toBe(true);
    for (const key of await redis.keys(`${prefix}:*`)) {
      expect(key).toMatch(/^[\w.-]+:\{[=~\w.@-]*\}(:[~\w.@-]+)*$/);
      expect(key.length).toBeLessThan(150);
    }
    await limiter.close();
  });

  test.each([0, -1, 0.5, NaN, Infinity, 2 ** 53])(
    'cost %d is refused as invalid and counts nothing',
    async (cost) => {
      const limiter = limiterOn(redis, prefix, { redisTime, clock: redisTime });
      const result = await limiter.check(requestOf(limits, { cost }));
      expect(result).toMatchObject({ passed: false, reason: 'invalid', degraded: false });
      expect(result.states.map(({ remaining }) => remaining)).toEqual([3, 5, 2]);
      expect(await stored()).toEqual(new Map());
      await limiter.close();
    },
  );

  test('a cost above the limit is refused without a time to wait; a limit of 0 refuses every request', async () => {
    const limiter = limiterOn(redis, prefix, { redisTime, clock: redisTime });
    const dear = await limiter.check(requestOf([minute, day], { cost: 4 }));
    expect(dear).toMatchObject({ passed: false, reason: 'cost_too_high' });
    expect(dear.states.map(({ violated, retryAfterMs }) => [violated, retryAfterMs])).toEqual([
      [true, null],
      [false, 0],
    ]);
    const closed = await limiter.check(requestOf([limitOf({ limit: 0 })]));
    expect(closed.states[0]).toMatchObject({ violated: true, retryAfterMs: null, remaining: 0 });
    await limiter.close();
  });

  test('a request without limits passes without a call to Redis', async () => {
    const limiter = limiterOn(redis, prefix);
    expect(await limiter.check(requestOf([]))).toMatchObject({ passed: true, states: [], degraded: false });
    await limiter.close();
  });
});
