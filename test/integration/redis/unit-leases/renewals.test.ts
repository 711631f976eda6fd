// Goal: a steady caller does not wait for Redis, because its leases are renewed ahead of their end, and a renewal costs nothing that
// decision 160 does not state.
import type { Redis } from 'ioredis';
import { Registry } from 'prom-client';
import { afterAll, beforeAll, beforeEach, expect, test, vi } from 'vitest';
import type { RedisClient } from '../../../../shared/redis/client.ts';
import type { CheckRequest, CheckResult } from '../../../../shared/redis/decision/check.ts';
import type { Limiter } from '../../../../shared/redis/decision/limiter.ts';
import { eventually, servers, uniqueName } from '../../../support/servers.ts';
import { connected, limitOf, limiterOn, requestOf } from '../limiters.ts';
import { nodeOn, startMs } from './nodes.ts';

let redis: RedisClient;
let nowMs: number;
let prefix: string;
beforeAll(async () => {
  redis = await connected(servers().redisUrl);
  redis.setMaxListeners(0);
});
afterAll(() => redis.disconnect());
beforeEach(() => {
  nowMs = startMs;
  prefix = uniqueName('renewals');
});

const request = requestOf([limitOf({ limit: 1_000_000 })]);
const now = (): number => nowMs;

/** Sends a check. Returns its result if it did not wait for Redis, else the promise of it. */
function send(limiter: Limiter, check: CheckRequest): CheckResult | Promise<CheckResult> {
  const decided: CheckResult[] = [];
  const result = new Promise<CheckResult>((resolve) => {
    limiter.checkWith(check, (one) => {
      decided.push(one);
      resolve(one);
    });
  });
  return decided[0] ?? result;
}

test.each([50, 10, 1])(
  'a caller with a check every %d ms waits for Redis before its first lease only',
  async (gapMs) => {
    const node = nodeOn(redis, prefix, now);
    const waitedAtMs: number[] = [];
    for (let check = 0; check < 2_000 / gapMs; check += 1) {
      nowMs += gapMs;
      const result = send(node.limiter, request);
      if (result instanceof Promise) waitedAtMs.push(nowMs - startMs);
      expect((await result).passed).toBe(true);
      await node.renew();
    }
    expect(waitedAtMs.at(-1)).toBeLessThan(600);
    const { granted, spent, returned } = await node.units();
    expect(spent).toBe(2_000 / gapMs - waitedAtMs.length);
    expect(returned, 'nearly all leased units are spent').toBeLessThan(granted * 0.05 + 2);
    await node.limiter.close();
  },
);

test('while Redis does not reply, no check of a lease waits, and one renewal is on its way', async () => {
  const own = (await connected(servers().redisUrl)) as Redis;
  const node = nodeOn(own, prefix, now);
  const sendNext = (): CheckResult | Promise<CheckResult> => {
    nowMs += 1;
    return send(node.limiter, request);
  };
  for (let ms = 0; ms < 700; ms += 1) await sendNext();
  const { granted } = await node.units();
  do {
    await sendNext();
    await node.renew();
  } while ((await node.units()).granted === granted);
  const commands = vi.spyOn(own, 'sendCommand');
  own.stream.pause();
  for (let ms = 0; ms < 240; ms += 1) expect(sendNext()).toMatchObject({ passed: true, degraded: false });
  await eventually(() => commands.mock.calls.some(([{ name }]) => name === 'FCALL' || name === 'EVALSHA'));
  const waiting = send(node.limiter, requestOf(request.limits, { cost: 900 }));
  const calls = commands.mock.calls.filter(([{ name }]) => name === 'FCALL' || name === 'EVALSHA');
  expect(calls).toHaveLength(1);
  commands.mockRestore();
  own.stream.resume();
  await waiting;
  expect(send(node.limiter, request), 'the renewal has been granted').not.toBeInstanceOf(Promise);
  await node.limiter.close();
  own.disconnect();
});

test('a caller that stops leaves at most one unused renewal, which is returned at its end', async () => {
  const node = nodeOn(redis, prefix, now);
  const plain = nodeOn(redis, prefix, now, 0, false);
  for (let check = 0; check < 40; check += 1) {
    nowMs += 50;
    await send(node.limiter, request);
    await node.renew();
  }
  const { granted, spent } = await node.units();
  expect(granted - spent).toBeLessThanOrEqual(2 * 4);
  nowMs += 600;
  const remaining = async () => (await plain.limiter.check({ ...request, peek: true })).states[0]?.remaining;
  await eventually(async () => (await remaining()) === 1_000_000 - 40);
  expect(await node.units()).toEqual({ granted, spent, returned: granted - spent });
  await Promise.all([node.limiter.close(), plain.limiter.close()]);
});

test('a lease and its renewal together hold at most a twentieth of the units that are left', async () => {
  const limits = [limitOf({ limit: 5_500, windowMs: 16_000 })];
  const node = nodeOn(redis, prefix, now);
  let heldMost = 0;
  for (let check = 0; check < 1_500; check += 1) {
    nowMs += 1;
    const { passed } = await send(node.limiter, requestOf(limits));
    expect(passed).toBe(true);
    await node.renew();
    const { granted, spent, returned } = await node.units();
    const held = granted - spent - returned;
    heldMost = Math.max(heldMost, held);
    expect(held).toBeLessThanOrEqual((5_500 - check - 1) / 20);
  }
  expect(heldMost).toBeGreaterThan(225);
  await node.limiter.close();
});

test('a renewal whose reply is late opens the circuit breaker as a check does, degrades no check, and is returned', async () => {
  const own = (await connected(servers().redisUrl)) as Redis;
  const registry = new Registry();
  const clock = { now };
  const options = { registry, clock, redisTime: clock, leaseUnits: true, callTimeoutMs: 1_000 };
  const limiter = limiterOn(own, prefix, options);
  let checks = 0;
  const sendNext = (): CheckResult | Promise<CheckResult> => {
    nowMs += 1;
    checks += 1;
    return send(limiter, request);
  };
  for (let ms = 0; ms < 700; ms += 1) await sendNext();
  own.stream.pause();
  let degraded = 0;
  const soon = { intervalMs: 1 };
  await eventually(async () => {
    const result = await sendNext();
    expect(result.passed).toBe(true);
    if (result.degraded) degraded += 1;
    return degraded === 10;
  }, soon);
  const counted = await registry.getSingleMetric('tollgate_checks_degraded_total')?.get();
  expect(counted?.values[0]?.value).toBe(degraded);
  own.stream.resume();
  await eventually(() => limiter.state().serversUnavailable === 0);
  await eventually(async () => {
    const result = sendNext();
    return (await result).passed && !(result instanceof Promise);
  }, soon);
  await limiter.close();
  const plain = nodeOn(redis, prefix, now, 0, false);
  const remaining = async () => (await plain.limiter.check({ ...request, peek: true })).states[0]?.remaining;
  await eventually(async () => (await remaining()) === 1_000_000 - checks);
  await plain.limiter.close();
  own.disconnect();
});
