// Goal: reservations that are made, extended or settled while Redis is unavailable are counted in Redis afterwards with their
// amounts, and every node can settle them. Method: one node reaches a real Redis through a proxy that the test makes dead; another
// node reaches it directly.
import { Registry } from 'prom-client';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import type { RedisClient } from '../../../../shared/redis/client.ts';
import type { CheckRequest } from '../../../../shared/redis/decision/check.ts';
import type { Limiter } from '../../../../shared/redis/decision/limiter.ts';
import type { Reservation } from '../../../../shared/redis/reservations/reservation.ts';
import { startProxy } from '../../../faults/redis/proxy.ts';
import type { Proxy } from '../../../faults/redis/proxy.ts';
import { eventually, servers, uniqueName } from '../../../support/servers.ts';
import { connected, limitOf, limiterOn, requestOf } from '../limiters.ts';

const redisPort = Number(new URL(servers().redisUrl).port);
let proxy: Proxy;
let direct: RedisClient;
let cut: RedisClient;
beforeAll(async () => {
  proxy = await startProxy(redisPort);
  direct = await connected(servers().redisUrl);
  cut = await connected(proxy.url);
});
afterAll(() => {
  direct.disconnect();
  cut.disconnect();
  proxy.close();
});

let limiter: Limiter;
let other: Limiter;
let registry: Registry;
beforeEach(() => {
  const prefix = uniqueName('away');
  registry = new Registry();
  limiter = limiterOn(cut, prefix, { callTimeoutMs: 1_000, registry });
  other = limiterOn(direct, prefix);
});
afterEach(async () => {
  await comeBack();
  await Promise.all([limiter.close(), other.close()]);
});

const day = limitOf({
  name: 'day',
  of: 'tokens',
  type: 'quota',
  period: 'day',
  windowMs: 86_400_000,
  limit: 100_000,
});
const window = limitOf({ name: 'window', of: 'tokens', limit: 1_000, windowMs: 600_000 });
const large = limitOf({ name: 'large', of: 'tokens', limit: 100_000, windowMs: 600_000 });
const limits = [day, window, large];

function requestFor(tokens: number, id: string): CheckRequest {
  return requestOf(limits, { amounts: { tokens }, reservation: { id, expiresMs: 600_000, details: id } });
}

async function reserve(tokens: number, id = 'r1'): Promise<Reservation> {
  const { passed, reservation } = await limiter.check(requestFor(tokens, id));
  expect(passed).toBe(true);
  if (reservation === null) throw new Error('no reservation');
  return reservation.handle;
}

/** Cuts the node off. Resolves when its circuit breaker is open. */
async function cutOff(): Promise<void> {
  proxy.set({ kind: 'swallow' });
  await limiter.check(requestOf(limits, { peek: true }));
  expect(limiter.state().serversUnavailable).toBe(1);
}

async function comeBack(): Promise<void> {
  proxy.set({ kind: 'pass' });
  // A dead path does not come back within a connection: the bytes that it lost would be missing.
  if (limiter.state().serversUnavailable > 0) proxy.retarget(redisPort);
  await eventually(() => limiter.state().serversUnavailable === 0);
}

/** Expects that Redis counts this many units of each limit as reserved. */
async function reservedSoon(units: number): Promise<void> {
  const reserved = async (): Promise<unknown[]> => {
    const { states } = await other.check(requestOf(limits, { peek: true, withUse: true }));
    return states.map(({ use }) => use?.reserved);
  };
  await eventually(async () => (await reserved()).every((count) => count === units)).catch(async () =>
    expect(await reserved()).toEqual([units, units, units]),
  );
}

/** Used units of all limits, as Redis counts them. */
async function used(): Promise<number[]> {
  const { states } = await other.check(requestOf(limits, { peek: true }));
  return states.map(({ limit, remaining }) => limit - remaining);
}

async function usedSoon(units: number): Promise<void> {
  await eventually(async () => (await used()).every((count) => count === units)).catch(async () =>
    expect(await used()).toEqual([units, units, units]),
  );
}

test('a settlement while Redis is unavailable is repeated until Redis has applied it', async () => {
  const handle = await reserve(500);
  await cutOff();
  expect(await limiter.settle(handle, { tokens: 80 })).toEqual({
    outcome: 'waiting',
    amounts: { tokens: 80 },
  });
  expect(await limiter.settle(handle, { tokens: 90 })).toMatchObject({ outcome: 'waiting' });
  expect(await used()).toEqual([500, 500, 500]);
  expect(await registry.metrics()).toContain('tollgate_settlements_waiting 1');
  await comeBack();
  await usedSoon(90);
  // Redis has applied the settlement before its reply reaches the node.
  await eventually(async () => (await registry.metrics()).includes('tollgate_settlements_waiting 0'));
  expect(await other.findReservation('acme', 'r1')).toMatchObject({
    state: 'settled',
    amounts: { tokens: 90 },
  });
});

test('a reservation that is made and settled without Redis is counted at its settled amount', async () => {
  await cutOff();
  const handle = await reserve(500);
  expect(await limiter.settle(handle, { tokens: 80 })).toMatchObject({ outcome: 'waiting' });
  expect(await limiter.check(requestOf(limits, { amounts: { tokens: 920 } }))).toMatchObject({
    passed: true,
  });
  expect(await limiter.check(requestOf(limits, { amounts: { tokens: 1 } }))).toMatchObject({ passed: false });
  await comeBack();
  await usedSoon(1000);
  const found = await eventually(async () => {
    const one = await other.findReservation('acme', 'r1');
    expect(one).toMatchObject({ state: 'settled', details: 'r1', amounts: { tokens: 80 } });
    return one;
  });
  await reservedSoon(0);
  expect(await other.settle(found.handle, { tokens: 30 })).toMatchObject({ outcome: 'applied' });
  await usedSoon(950);
});

test('a reservation that is made without Redis can be settled by another node afterwards', async () => {
  await cutOff();
  await reserve(500);
  await reserve(300, 'r2');
  const known = await limiter.check(requestFor(7, 'r1'));
  expect(known).toMatchObject({ passed: true, degraded: true, reservation: { existing: { details: 'r1' } } });
  await comeBack();
  await eventually(async () => (await other.findReservation('acme', 'r1')) !== null);
  await usedSoon(800);
  const found = await other.findReservation('acme', 'r1');
  expect(found).toMatchObject({ state: 'open', amounts: { tokens: 500 } });
  await reservedSoon(800);
  await other.settle(found!.handle, { tokens: 120 });
  await usedSoon(420);
  await reservedSoon(300);
  expect(await limiter.settle(known.reservation!.handle, { tokens: 500 })).toMatchObject({
    outcome: 'superseded',
  });
});

test('an extension without Redis is counted and can be returned', async () => {
  const handle = await reserve(300);
  await cutOff();
  expect(await limiter.extend(handle, { tokens: 200 })).toMatchObject({ passed: true, degraded: true });
  expect(await limiter.extend(handle, { tokens: 900 })).toMatchObject({ passed: false, reason: 'limit' });
  await comeBack();
  await usedSoon(500);
  await eventually(async () => (await other.findReservation('acme', 'r1'))?.amounts['tokens'] === 500);
  await reservedSoon(500);
  expect(await limiter.settle(handle, { tokens: 350 })).toEqual({
    outcome: 'applied',
    amounts: { tokens: 350 },
  });
  await usedSoon(350);
});

test('an extension and a settlement without Redis are both applied afterwards', async () => {
  const handle = await reserve(300);
  await cutOff();
  await limiter.extend(handle, { tokens: 200 });
  expect(await limiter.settle(handle, { tokens: 450 })).toMatchObject({ outcome: 'waiting' });
  await comeBack();
  await usedSoon(450);
  await reservedSoon(0);
});

test('a reservation whose reply was lost is counted once', async () => {
  // Redis has run the call of the node, and the reply has not reached the node.
  await other.check(requestFor(500, 'r1'));
  await cutOff();
  const handle = await reserve(500);
  await comeBack();
  await usedSoon(500);
  await limiter.settle(handle, { tokens: 100 });
  await usedSoon(100);
});

test('a settlement above the reserved amount without Redis is counted in full', async () => {
  await cutOff();
  const handle = await reserve(500);
  await limiter.settle(handle, { tokens: 1_300 });
  expect(await limiter.check(requestOf(limits, { amounts: { tokens: 1 } }))).toMatchObject({ passed: false });
  await comeBack();
  await eventually(async () => (await used()).join() === '1300,1000,1300');
});

test('a reservation whose record Redis cannot store does not hold up its settlement', async () => {
  await cutOff();
  const handle = await reserve(500);
  await direct.set(handle.records[0]?.key ?? '', 'a value of another type');
  await comeBack();
  await usedSoon(500);
  await eventually(async () => (await limiter.settle(handle, { tokens: 100 })).outcome === 'dropped');
  expect(await registry.metrics()).toMatch(/tollgate_settlements_dropped_total [1-9]/);
});
