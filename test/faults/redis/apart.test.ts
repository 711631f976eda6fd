// Goal: a failure affects only the tenant, the server of a cluster or the node in which it occurs.
import { setTimeout as pause } from 'node:timers/promises';
import { Registry } from 'prom-client';
import { expect, test } from 'vitest';
import { callTimeoutMsDefault } from '../../../shared/redis/client.ts';
import { createConcurrency } from '../../../shared/redis/leases/concurrency.ts';
import { createSessions } from '../../../shared/redis/leases/sessions.ts';
import { slotOf } from '../../../shared/redis/cluster/topology.ts';
import { eventually, servers, startRedis, uniqueName } from '../../support/servers.ts';
import { startCluster } from '../../integration/redis/cluster.ts';
import {
  breakersOn,
  connected,
  limitOf,
  limiterOn,
  logger,
  requestOf,
} from '../../integration/redis/limiters.ts';

/** A busy machine does not delay the replies of a server that runs for so long. */
const callTimeoutMs = 400;
const clock = { now: () => Date.now() };
const platform = [limitOf({ name: 'platform', type: 'concurrent', per: ['global'], limit: 10, windowMs: 0 })];
const caller = requestOf([]);

test('A6: one key of a wrong type degrades its own tenant only', async () => {
  const redis = await connected(servers().redisUrl);
  const prefix = uniqueName('broken');
  const limiter = limiterOn(redis, prefix);
  await redis.set(`${prefix}:{broken}`, 'not a hash');
  const limits = [limitOf({ limit: 5 })];
  expect((await limiter.check(requestOf(limits, { tenantId: 'broken' }))).degraded).toBe(true);
  expect((await limiter.check(requestOf(limits, { tenantId: 'sound' }))).degraded).toBe(false);
  await limiter.close();
  redis.disconnect();
});

test('local decisions start from the usage that Redis last replied for the tenant', async () => {
  const own = await startRedis();
  const redis = await connected(own.url);
  const limiter = limiterOn(redis, uniqueName('seed'), { node: 'only', callTimeoutMs: 1_000 });
  const request = requestOf([limitOf({ limit: 10, windowMs: 3_600_000 })]);
  await Promise.all(Array.from({ length: 7 }, () => limiter.check(request)));
  await own.kill();
  await eventually(
    () =>
      limiter.state().serversUnavailable === 1 || limiter.check({ ...request, peek: true }).then(() => false),
  );
  const results = await Promise.all(Array.from({ length: 7 }, () => limiter.check(request)));
  expect(results.map(({ passed, degraded }) => passed && degraded)).toEqual([
    true,
    true,
    true,
    false,
    false,
    false,
    false,
  ]);
  await limiter.close();
  redis.disconnect();
  await own.dispose();
});

test('C2: an unavailable master of a cluster degrades its own tenants only', async () => {
  const cluster = await startCluster();
  const redis = await connected(cluster.url);
  const limiter = limiterOn(redis, uniqueName('masters'), { callTimeoutMs });
  // redis-cli assigns a third of the slots to each server, in order.
  const tenants = Array.from({ length: 30 }, (_, index) => `tenant-${index}`);
  const onFirst = (tenantId: string): boolean => slotOf(`{${tenantId}}`) < 5461;
  const limits = [limitOf({ limit: 1000 })];
  const checkAll = () =>
    Promise.all(tenants.map((tenantId) => limiter.check(requestOf(limits, { tenantId }))));
  await eventually(async () => (await checkAll()).every(({ degraded }) => !degraded));
  cluster.servers[0]?.pause();
  await eventually(async () =>
    (await checkAll()).every(({ degraded }, index) => degraded === onFirst(tenants[index] ?? '')),
  );
  cluster.servers[0]?.resume();
  await eventually(async () => (await checkAll()).every(({ degraded }) => !degraded));
  await limiter.close();
  redis.disconnect();
  await cluster.dispose();
});

test('units that a node with a wrong clock admitted without Redis are counted at the time of Redis', async () => {
  const own = await startRedis();
  const redis = await connected(own.url);
  const slow = { now: () => Date.now() - 600_000 };
  const limiter = limiterOn(redis, uniqueName('skewed'), { node: 'only', callTimeoutMs, clock: slow });
  const request = requestOf([limitOf({ limit: 100, windowMs: 300_000 })]);
  await eventually(async () => !(await limiter.check({ ...request, peek: true })).degraded);
  await eventually(() => limiter.state().nodes === 1);
  own.pause();
  const results = await Promise.all(Array.from({ length: 10 }, () => limiter.check(request)));
  expect(results.every(({ passed, degraded }) => passed && degraded)).toBe(true);
  own.resume();
  const { states } = await eventually(async () => {
    const result = await limiter.check({ ...request, peek: true });
    return result.degraded ? null : result;
  });
  // The first calls timed out, but were already in the socket of Redis and ran after it resumed.
  expect(states[0]?.remaining).toBeLessThanOrEqual(90);
  expect(states[0]?.remaining).toBeGreaterThanOrEqual(80);
  const expiresInMs = (states[0]?.resetAtMs ?? 0) - Date.now();
  expect(expiresInMs).toBeGreaterThan(290_000);
  expect(expiresInMs).toBeLessThanOrEqual(300_100);
  await limiter.close();
  redis.disconnect();
  await own.dispose();
});

test('on a cluster a unit that a node admitted without one master is counted in both slots, and a refused one in none', async () => {
  const cluster = await startCluster();
  const redis = await connected(cluster.url);
  const limiter = limiterOn(redis, uniqueName('slots'), { node: 'only', callTimeoutMs });
  const onFirst = (tag: string): boolean => slotOf(tag) < 5461;
  const tenantId = Array.from({ length: 100 }, (_, index) => `tenant-${index}`).find((id) =>
    onFirst(`{${id}}`),
  );
  const ip = Array.from({ length: 100 }, (_, index) => `192.0.2.${index}`).find(
    (address) => !onFirst(`{=ip.${address}}`),
  );
  const hour = { windowMs: 3_600_000 };
  const limits = [
    limitOf({ ...hour, name: 'tenant', limit: 100 }),
    limitOf({ ...hour, name: 'address', limit: 12, per: ['ip'] }),
  ];
  const request = requestOf(limits, { tenantId: tenantId ?? '', ip: ip ?? '' });
  await eventually(async () => !(await limiter.check({ ...request, peek: true })).degraded);
  let passed = 0;
  for (let round = 0; round < 3; round += 1) {
    cluster.servers[0]?.pause();
    // Every check peeks before the first check charges. So some checks charge one slot and are refused by the other.
    const results = await Promise.all(Array.from({ length: 7 }, () => limiter.check(request)));
    passed += results.filter((result) => result.passed).length;
    cluster.servers[0]?.resume();
    await eventually(async () => !(await limiter.check({ ...request, peek: true })).degraded);
  }
  expect(passed).toBe(12);
  const remaining = async (): Promise<number[]> =>
    (await limiter.check({ ...request, peek: true })).states.map((state) => state.remaining);
  // After the pause the master may also have run the first calls: their units may count twice, but are never missing.
  const [ofTenant = 0, ofAddress = 0] = await remaining();
  expect(ofTenant).toBeLessThanOrEqual(100 - passed);
  expect(ofTenant).toBeGreaterThanOrEqual(100 - passed - 21);
  expect(ofAddress).toBe(0);
  await limiter.close();
  redis.disconnect();
  await cluster.dispose();
});

test('A7: a short stall of Redis refuses no request while the platform has room', async () => {
  const server = await startRedis();
  const redis = await connected(server.url);
  const limits = [
    limitOf({ name: 'platform', type: 'concurrent', per: ['global'], limit: 1000, windowMs: 0 }),
  ];
  const breakers = breakersOn(redis, uniqueName('stalled'), callTimeoutMsDefault);
  const options = { redis, breakerOf: breakers.of, node: 'one', nodes: () => 1, clock, logger };
  for (let stallMs = 36; stallMs < 76; stallMs += 4) {
    const keyPrefix = uniqueName('stalled');
    const concurrency = createConcurrency({ ...options, keyPrefix, registry: new Registry() });
    await concurrency.acquire(limits, caller);
    server.pause();
    const resumed = pause(stallMs).then(() => server.resume());
    // The requests outnumber the spare permits of the node, but not the limit. Some arrive during a call to Redis.
    const arriving: Promise<{ granted: boolean }>[] = [];
    while (arriving.length < 600) {
      for (let count = 0; count < 6; count += 1) {
        arriving.push(Promise.resolve(concurrency.acquire(limits, caller)));
      }
      await pause(1);
    }
    const refused = (await Promise.all(arriving)).filter(({ granted }) => !granted);
    expect(refused, `${refused.length} of 600 at a stall of ${stallMs} ms`).toEqual([]);
    await resumed;
    await concurrency.close();
    await eventually(() => Promise.resolve(breakers.unavailable() === 0));
  }
  breakers.close();
  redis.disconnect();
  await server.dispose();
});

test('requests in flight of a tenant exceed the limit by the nodes’ shares at most, however often Redis is unavailable', async () => {
  const server = await startRedis();
  const keyPrefix = uniqueName('series');
  const clients = await Promise.all([connected(server.url), connected(server.url)]);
  const breakers = clients.map((redis) => breakersOn(redis, keyPrefix, callTimeoutMs));
  const nodes = clients.map((redis, index) =>
    createConcurrency({
      ...{ redis, keyPrefix, node: `node-${index}`, nodes: () => 2, clock, logger, registry: new Registry() },
      breakerOf: (tag) => breakers[index]!.of(tag),
    }),
  );
  const limits = [limitOf({ name: 'at once', type: 'concurrent', limit: 10, windowMs: 0 })];
  let inFlight = 0;
  const acquireAll = async (): Promise<void> => {
    for (const node of nodes) {
      const permits = await Promise.all(Array.from({ length: 20 }, async () => node.acquire(limits, caller)));
      inFlight += permits.filter(({ granted }) => granted).length;
    }
  };
  await acquireAll();
  expect(inFlight).toBe(10);
  for (let outage = 0; outage < 3; outage += 1) {
    server.pause();
    await acquireAll();
    server.resume();
    const probe = async (): Promise<boolean> => {
      const permit = await nodes[1]!.acquire(limits, { ...caller, tenantId: uniqueName('probe') });
      permit.release();
      return !permit.degraded;
    };
    await eventually(probe);
    await acquireAll();
  }
  expect(inFlight).toBeGreaterThan(10);
  expect(inFlight).toBeLessThanOrEqual(20);
  await Promise.all(nodes.map((node) => node.close()));
  for (const each of breakers) each.close();
  for (const redis of clients) redis.disconnect();
  await server.dispose();
});

test('A7, A8: without Redis each node grants its share of requests in flight and sessions, at once', async () => {
  const server = await startRedis();
  const redis = await connected(server.url);
  const breakers = breakersOn(redis, 'p', callTimeoutMs);
  const options = {
    redis,
    breakerOf: breakers.of,
    keyPrefix: 'p',
    node: 'one',
    nodes: () => 2,
    clock,
    logger,
  };
  const concurrency = createConcurrency({ ...options, registry: new Registry() });
  const sessions = createSessions(options);
  const widget = { name: 'widget', per: ['tenant'], limit: 4, ttlMs: 60_000 } as const;
  await sessions.acquire(widget, caller, 'before');
  (await concurrency.acquire(platform, caller)).release();
  server.pause();

  const permits = await Promise.all(
    Array.from({ length: 10 }, async () => concurrency.acquire(platform, caller)),
  );
  expect(permits.filter(({ granted }) => granted)).toHaveLength(5);
  expect(permits.at(-1)?.degraded).toBe(true);
  const acquired = await Promise.all(['a', 'b', 'c'].map((id) => sessions.acquire(widget, caller, id)));
  expect(acquired.map(({ done, degraded }) => done && degraded)).toEqual([true, true, false]);
  expect((await sessions.heartbeat(widget, caller, 'before')).done).toBe(true);
  // A call to Redis would take at least one iteration of the event loop.
  const first = await Promise.race([sessions.acquire(widget, caller, 'd'), nextIteration()]);
  expect(first).toMatchObject({ degraded: true });

  server.resume();
  await eventually(async () => !(await sessions.heartbeat(widget, caller, 'a')).degraded);
  expect(await sessions.count(widget, caller)).toBeGreaterThan(1);
  for (const permit of permits) permit.release();
  await eventually(async () => {
    const permit = await concurrency.acquire(platform, caller);
    permit.release();
    return permit.granted && !permit.degraded;
  });
  await concurrency.close();
  breakers.close();
  redis.disconnect();
  await server.dispose();
});

function nextIteration(): Promise<null> {
  return new Promise((resolve) => void setImmediate(resolve, null));
}
