// Goal: checks, requests in flight and sessions of one process share one circuit breaker for each Redis server
// (decision 121). Method: a real server is paused; after the first late call of one kind, calls of the other kinds must
// not wait for the server.
import { Registry } from 'prom-client';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { RedisClient } from '../../../shared/redis/client.ts';
import type { Limiter } from '../../../shared/redis/decision/limiter.ts';
import { createConcurrency } from '../../../shared/redis/leases/concurrency.ts';
import type { Concurrency } from '../../../shared/redis/leases/concurrency.ts';
import { createSessions } from '../../../shared/redis/leases/sessions.ts';
import type { Sessions } from '../../../shared/redis/leases/sessions.ts';
import { eventually, startRedis, uniqueName } from '../../support/servers.ts';
import { connected, limitOf, limiterOn, logger, requestOf } from '../../integration/redis/limiters.ts';

/** Longer than other processes can delay this process. */
const callTimeoutMs = 1_000;
const widget = { name: 'widget', per: ['tenant'], limit: 100, ttlMs: 60_000 } as const;
const perTenant = [limitOf({ name: 'parallel', type: 'concurrent', limit: 100, windowMs: 0 })];
const request = requestOf([limitOf({ limit: 1_000 })]);

let server: Awaited<ReturnType<typeof startRedis>>;
let redis: RedisClient;
let limiter: Limiter;
let concurrency: Concurrency;
let sessions: Sessions;

beforeAll(async () => {
  server = await startRedis();
  redis = await connected(server.url);
  const keyPrefix = uniqueName('breaker');
  limiter = limiterOn(redis, keyPrefix, { callTimeoutMs });
  const { breakerOf } = limiter;
  const clock = { now: () => Date.now() };
  const options = { redis, breakerOf, keyPrefix, node: 'one', nodes: () => 1, clock, logger };
  concurrency = createConcurrency({ ...options, registry: new Registry() });
  sessions = createSessions(options);
});

afterAll(async () => {
  server.resume();
  await concurrency.close();
  await limiter.close();
  redis.disconnect();
  await server.dispose();
});

interface Call {
  readonly name: string;
  readonly isDegraded: () => Promise<boolean>;
}

const calls: readonly Call[] = [
  { name: 'a check', isDegraded: async () => (await limiter.check(request)).degraded },
  {
    name: 'a request in flight',
    isDegraded: async () => (await concurrency.acquire(perTenant, request)).degraded,
  },
  {
    name: 'a session',
    isDegraded: async () => (await sessions.acquire(widget, request, uniqueName('id'))).degraded,
  },
];

test.each(calls)('after $name was late, no other call waits for the server', async (first) => {
  for (const { isDegraded } of calls) await eventually(async () => !(await isDegraded()));
  server.pause();
  expect(await first.isDegraded()).toBe(true);
  const startedAt = performance.now();
  for (const { isDegraded } of calls) expect(await isDegraded()).toBe(true);
  // If one of them waited for Redis, it would take the call timeout.
  expect(performance.now() - startedAt).toBeLessThan(callTimeoutMs);
  server.resume();
});
