import type { Redis } from 'ioredis';
import { afterAll, beforeAll, beforeEach, expect, test, vi } from 'vitest';
import type { RedisClient } from '../../../shared/redis/client.ts';
import { servers, uniqueName } from '../../support/servers.ts';
import { connected, limitOf, limiterOn, requestOf } from './limiters.ts';

let redis: RedisClient;
let prefix: string;

beforeAll(async () => void (redis = await connected(servers().redisUrl)));
afterAll(() => redis.disconnect());
beforeEach(() => void (prefix = uniqueName('coalesce')));

const minute = limitOf({ limit: 3 });

test('checks of one event-loop iteration are sent in calls of at most 16, and are decided in order', async () => {
  const limiter = limiterOn(redis, prefix);
  await limiter.check(requestOf([minute], { tenantId: 'warm' }));
  const commands = vi.spyOn(redis as Redis, 'sendCommand');
  const limit = [limitOf({ limit: 100 })];
  const results = await Promise.all(Array.from({ length: 150 }, () => limiter.check(requestOf(limit))));
  const calls = commands.mock.calls.filter(([{ name }]) => name === 'FCALL' || name === 'EVALSHA');
  expect(calls).toHaveLength(10);
  expect(results.map(({ passed }) => passed)).toEqual(Array.from({ length: 150 }, (_, index) => index < 100));
  expect(results.slice(0, 100).map(({ states }) => states[0]?.remaining)).toEqual(
    Array.from({ length: 100 }, (_, index) => 99 - index),
  );
  commands.mockRestore();
  await limiter.close();
});

test('the refusal of one tenant in a batch does not affect the other tenants', async () => {
  const limiter = limiterOn(redis, prefix);
  const tenants = Array.from({ length: 40 }, (_, index) => `t${index % 20}`);
  const limit = [limitOf({ limit: 1 })];
  const results = await Promise.all(tenants.map((tenantId) => limiter.check(requestOf(limit, { tenantId }))));
  expect(results.map(({ passed }) => passed)).toEqual(tenants.map((_, index) => index < 20));
  await limiter.close();
});
