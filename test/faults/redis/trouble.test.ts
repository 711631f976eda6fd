// Goal: in any failure of Redis no check waits longer than 50 ms (not counting time in which this process is blocked),
// admitted units stay within the documented bound, and Redis decides checks again within two seconds after its
// recovery. Method: two nodes under constant overload use a separate Redis, in which one failure after the other is
// injected.
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { eventually, startRedis, uniqueName } from '../../support/servers.ts';
import { operator, startLoad, startPings, windowMs } from './load.ts';
import type { Load } from './load.ts';
import { startProxy } from './proxy.ts';
import type { Proxy } from './proxy.ts';

const long = process.env['TOLLGATE_FAULTS'] === 'long';
const failureMs = long ? 10_000 : 1200;
const checkMsMax = 50;
const normalMsMax = 2000;

let server: Awaited<ReturnType<typeof startRedis>>;
let proxies: Proxy[];
let load: Load;

beforeAll(async () => void (server = await startRedis()));
afterAll(() => server.dispose());
/** Starts two nodes under load, each with a separate network path to Redis. */
async function begin(callTimeoutMs: number): Promise<void> {
  proxies = await Promise.all([startProxy(server.port), startProxy(server.port)]);
  load = await startLoad(
    proxies.map(({ url }) => url),
    uniqueName('failures'),
    callTimeoutMs,
  );
  await passTime(windowMs);
}

afterEach(async () => {
  await load.stop();
  for (const proxy of proxies) proxy.close();
});

/** Resolves after `ms`; the load continues in that time. */
function passTime(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** Resolves after the time of a failure in which every node decides many checks without Redis. */
async function passFailure(): Promise<void> {
  await passTime(failureMs);
  await eventually(() => load.degraded() > 100);
}

/**
 * Checks the documented bounds. A window that contains the start or end of the failure may have twice the limit, once
 * counted by Redis and once by the nodes. `times` is the multiple of the limit that may be admitted in a window.
 * `controlMs` is the duration of a PING, for failures in which checks wait for Redis.
 */
function expectBounds(name: string, normalMs: number, times = 2, controlMs = 0): void {
  const { checkMs, ownMs } = load.longest();
  const most = load.mostAdmitted();
  console.log(
    `${name}: longest check ${checkMs.toFixed(1)} ms (${ownMs.toFixed(1)} ms of this process), ` +
      `most in a window ${most} of ${load.limit}, degraded ${load.degraded()}, normal after ${normalMs.toFixed(0)} ms`,
  );
  expect(ownMs).toBeLessThan(checkMsMax + controlMs);
  expect(normalMs).toBeLessThan(normalMsMax);
  expect(most).toBeLessThanOrEqual(load.limit * times);
}

describe('Redis does not answer, or refuses commands', () => {
  beforeEach(() => begin(35));

  test('D1: Redis killed and started again', async () => {
    await server.kill();
    await passFailure();
    await server.restart();
    expectBounds('killed', await load.normalAgain());
  });

  test('Redis stopped with SIGSTOP and continued', async () => {
    server.pause();
    await passFailure();
    server.resume();
    expectBounds('SIGSTOP', await load.normalAgain());
  });

  test('a dead network path to Redis: connections stay open and no data passes', async () => {
    for (const proxy of proxies) proxy.set({ kind: 'swallow' });
    await passFailure();
    for (const proxy of proxies) proxy.set({ kind: 'pass' });
    expectBounds('black hole', await load.normalAgain());
  });

  test('one node cut off: it grants its share, and the other node decides with Redis', async () => {
    proxies[0]?.set({ kind: 'swallow' });
    await passTime(failureMs);
    proxies[0]?.set({ kind: 'pass' });
    expectBounds('one node cut off', await load.normalAgain());
  });

  test('Redis replies later than a check may wait', async () => {
    for (const proxy of proxies) proxy.set({ kind: 'slow', delayMs: 60 });
    await passFailure();
    for (const proxy of proxies) proxy.set({ kind: 'pass' });
    expectBounds('slow', await load.normalAgain());
  });

  test('Redis out of memory with noeviction', async () => {
    const redis = operator(server.url);
    await redis.config('SET', 'maxmemory-policy', 'noeviction');
    await redis.config('SET', 'maxmemory', '1mb');
    await passFailure();
    await redis.config('SET', 'maxmemory', '0');
    const normalMs = await load.normalAgain();
    redis.disconnect();
    expectBounds('out of memory', normalMs);
  });

  test('Redis demoted to a replica: every write is refused', async () => {
    const redis = operator(server.url);
    await redis.replicaof('127.0.0.1', 1);
    await passFailure();
    await redis.replicaof('NO', 'ONE');
    const normalMs = await load.normalAgain();
    redis.disconnect();
    expectBounds('read-only', normalMs);
  });
});

// In these failures Redis is never late, so no call may time out, even if this machine is busy.
describe('Redis loses data or scripts', () => {
  beforeEach(() => begin(5000));

  test('FLUSHALL: no check fails, and a window holds at most the limit twice', async () => {
    const redis = operator(server.url);
    const control = startPings(server.url);
    await redis.flushall();
    const normalMs = await load.normalAgain();
    await passTime(windowMs);
    redis.disconnect();
    expect(load.degraded()).toBe(0);
    expectBounds('FLUSHALL', normalMs, 2, await control.stop());
  });

  test('SCRIPT FLUSH: no check is degraded, no unit is admitted twice', async () => {
    const redis = operator(server.url);
    const control = startPings(server.url);
    for (let round = 0; round < 5; round += 1) {
      await redis.script('FLUSH');
      await passTime(100);
    }
    redis.disconnect();
    expect(load.degraded()).toBe(0);
    expectBounds('SCRIPT FLUSH', await load.normalAgain(), 1, await control.stop());
  });
});
