// Goal: permits of a node that is killed are free again at the end of its lease, and never before.
import { Registry } from 'prom-client';
import { expect, test } from 'vitest';
import type { RedisClient } from '../../../shared/redis/client.ts';
import type { ServerBreakers } from '../../../shared/redis/fallback/server-breakers.ts';
import { createConcurrency } from '../../../shared/redis/leases/concurrency.ts';
import type { Concurrency } from '../../../shared/redis/leases/concurrency.ts';
import { permitLeaseMs } from '../../../shared/redis/leases/permit-pool.ts';
import { eventually, servers, uniqueName } from '../../support/servers.ts';
import { breakersOn, connected, limitOf, logger, requestOf } from '../../integration/redis/limiters.ts';

const clock = { now: () => Date.now() };
const platform = [limitOf({ name: 'platform', type: 'concurrent', per: ['global'], limit: 10, windowMs: 0 })];
const caller = requestOf([]);

test('A7: the permits of a node that died are free again within six seconds, and not before its lease ends', async () => {
  const keyPrefix = uniqueName('died');
  const [lost, redis] = await Promise.all([connected(servers().redisUrl), connected(servers().redisUrl)]);
  const nodeOn = (client: RedisClient, node: string): [Concurrency, ServerBreakers] => {
    const breakers = breakersOn(client, keyPrefix);
    const options = { redis: client, breakerOf: breakers.of, keyPrefix, node, nodes: () => 2, clock, logger };
    return [createConcurrency({ ...options, registry: new Registry() }), breakers];
  };
  const [dying, breakersOfDying] = nodeOn(lost, 'dying');
  const [alive, breakersOfAlive] = nodeOn(redis, 'alive');
  const acquiredAt = performance.now();
  await Promise.all(Array.from({ length: 10 }, async () => dying.acquire(platform, caller)));
  breakersOfDying.close();
  lost.disconnect();
  expect((await alive.acquire(platform, caller)).granted).toBe(false);
  const diedAt = performance.now();
  let [triedAt, longestTryMs] = [diedAt, 0];
  await eventually(async () => {
    const { granted, degraded } = await alive.acquire(platform, caller);
    longestTryMs = Math.max(longestTryMs, performance.now() - triedAt);
    triedAt = performance.now();
    return granted && !degraded;
  });
  // Redis counts in milliseconds.
  expect(performance.now() - acquiredAt).toBeGreaterThan(permitLeaseMs - 2);
  // Other processes may delay this process: the time between two tries is not that of the lease.
  expect(performance.now() - diedAt).toBeLessThan(6_000 + longestTryMs);
  await alive.close();
  breakersOfAlive.close();
  redis.disconnect();
});
