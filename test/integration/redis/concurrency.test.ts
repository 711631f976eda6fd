import { Registry } from 'prom-client';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { Limit } from '../../../shared/domain/limit.ts';
import type { SessionKind } from '../../../shared/domain/policy.ts';
import type { RedisClient } from '../../../shared/redis/client.ts';
import { createConcurrency } from '../../../shared/redis/leases/concurrency.ts';
import type { Concurrency } from '../../../shared/redis/leases/concurrency.ts';
import type { Permit } from '../../../shared/redis/leases/permits.ts';
import { createSessions } from '../../../shared/redis/leases/sessions.ts';
import { eventually, servers, uniqueName } from '../../support/servers.ts';
import { breakersOn, connected, limitOf, logger } from './limiters.ts';

let redis: RedisClient;
let prefix: string;
const clock = { now: () => Date.now() };
const caller = { tenantId: 'acme', userId: 'ann', ip: '192.0.2.1' };

beforeAll(async () => void (redis = await connected(servers().redisUrl)));
afterAll(() => redis.disconnect());
beforeEach(() => void (prefix = uniqueName('concurrent')));

function node(name: string, nodes: number): Concurrency {
  const breakerOf = breakersOn(redis, prefix).of;
  const options = { redis, breakerOf, keyPrefix: prefix, node: name, nodes: () => nodes, clock, logger };
  return createConcurrency({ ...options, registry: new Registry() });
}

const concurrent = (limit: number, changes: Partial<Limit> = {}): Limit[] => [
  limitOf({ name: 'platform', type: 'concurrent', per: ['global'], limit, windowMs: 0, ...changes }),
];

describe('requests in flight across the platform', () => {
  test('A7: never more than the limit across four nodes, and all of it can be used', async () => {
    const nodes = ['a', 'b', 'c', 'd'].map((name) => node(name, 4));
    const limits = concurrent(20);
    const flying: Permit[] = [];
    for (let round = 0; round < 200; round += 1) {
      const permit = await nodes[round % 4]!.acquire(limits, caller);
      if (permit.granted) flying.push(permit);
      expect(flying.length).toBeLessThanOrEqual(20);
      if (round % 3 === 0) flying.shift()?.release();
    }
    for (const permit of flying.splice(0)) permit.release();
    const solo = nodes[0]!;
    await eventually(async () => {
      const permit = await solo.acquire(limits, caller);
      if (permit.granted) flying.push(permit);
      return flying.length >= 17;
    });
    await Promise.all(nodes.map((each) => each.close()));
  });

  test('A7: concurrent requests of one event-loop iteration get exactly the limit', async () => {
    const solo = node('solo', 1);
    const permits = await Promise.all(
      Array.from({ length: 60 }, async () => solo.acquire(concurrent(50), caller)),
    );
    expect(permits.filter(({ granted }) => granted)).toHaveLength(50);
    expect(permits[59]?.states[0]).toMatchObject({ violated: true, remaining: 0, retryAfterMs: 1000 });
    await solo.close();
  });

  test('a permit is released once, however often `release` is called', async () => {
    const solo = node('solo', 1);
    const permit = await solo.acquire(concurrent(5), caller);
    permit.release();
    permit.release();
    expect(solo.inUse()).toBe(0);
    await solo.close();
  });

  test('spare permits are granted without waiting', async () => {
    const solo = node('solo', 1);
    (await solo.acquire(concurrent(1000), caller)).release();
    expect(solo.acquire(concurrent(1000), caller)).not.toBeInstanceOf(Promise);
    await solo.close();
  });

  test('a node that closes releases its permits to the others at once', async () => {
    const [one, two] = [node('one', 2), node('two', 2)];
    const limits = concurrent(3);
    await Promise.all([1, 2, 3].map(async () => one.acquire(limits, caller)));
    expect((await two.acquire(limits, caller)).granted).toBe(false);
    await one.close();
    expect((await two.acquire(limits, caller)).granted).toBe(true);
    await two.close();
  });

  test('in shadow mode a full platform limit lets requests pass and reports the violation', async () => {
    const solo = node('solo', 1);
    const permit = await solo.acquire(concurrent(0, { mode: 'shadow' }), caller);
    expect(permit).toMatchObject({ granted: true, states: [{ violated: true, mode: 'shadow' }] });
    await solo.close();
  });
});

describe('requests in flight of a tenant', () => {
  test('never more than the limit across nodes; permits are free again when requests end', async () => {
    const [one, two] = [node('one', 2), node('two', 2)];
    const limits = concurrent(3, { name: 'parallel', per: ['tenant'] });
    const permits = await Promise.all(
      [one, two, one, two, one].map(async (each) => each.acquire(limits, caller)),
    );
    expect(permits.filter(({ granted }) => granted)).toHaveLength(3);
    expect((await two.acquire(limits, { ...caller, tenantId: 'globex' })).granted).toBe(true);
    permits.find(({ granted }) => granted)?.release();
    await eventually(async () => (await two.acquire(limits, caller)).granted);
    await Promise.all([one.close(), two.close()]);
  });

  test('all-or-nothing: a request refused by one limit holds no permit of the other', async () => {
    const solo = node('solo', 1);
    const limits = [...concurrent(10), ...concurrent(0, { name: 'parallel', per: ['tenant'] })];
    expect((await solo.acquire(limits, caller)).granted).toBe(false);
    expect(solo.inUse()).toBe(0);
    await solo.close();
  });
});

describe('widget sessions', () => {
  const widget: SessionKind = { name: 'widget', per: ['tenant'], limit: 3, ttlMs: 60_000 };
  const sessionsOf = () => {
    const breakerOf = breakersOn(redis, prefix).of;
    return createSessions({ redis, breakerOf, keyPrefix: prefix, nodes: () => 1, clock, logger });
  };

  test('A8: at most the limit of live sessions per tenant; the same id again is no second session', async () => {
    const sessions = sessionsOf();
    for (const id of ['a', 'b', 'a', 'c', 'a']) {
      expect(await sessions.acquire(widget, caller, id)).toMatchObject({ done: true, reason: null });
    }
    const refused = await sessions.acquire(widget, caller, 'd');
    expect(refused).toMatchObject({ done: false, reason: 'limit', active: 3, expiresAtMs: 0 });
    expect(refused.retryAfterMs).toBeGreaterThan(55_000);
    expect((await sessions.acquire(widget, { ...caller, tenantId: 'globex' }, 'd')).done).toBe(true);
    expect(await sessions.count(widget, caller)).toBe(3);
    expect((await sessions.list(widget, caller)).map(({ id }) => id).sort()).toEqual(['a', 'b', 'c']);
  });

  test('a release is idempotent and frees one session', async () => {
    const sessions = sessionsOf();
    for (const id of ['a', 'b', 'c']) await sessions.acquire(widget, caller, id);
    expect(await sessions.release(widget, caller, 'b')).toMatchObject({ done: true, active: 2 });
    expect(await sessions.release(widget, caller, 'b')).toMatchObject({ done: false, active: 2 });
    expect((await sessions.acquire(widget, caller, 'd')).done).toBe(true);
    expect((await sessions.acquire(widget, caller, 'e')).done).toBe(false);
  });

  test('a session without a heartbeat ends at its ttl, one with heartbeats lives on', async () => {
    const sessions = sessionsOf();
    const short: SessionKind = { ...widget, limit: 2, ttlMs: 3_000 };
    await sessions.acquire(short, caller, 'kept');
    await sessions.acquire(short, caller, 'left');
    await eventually(async () => {
      expect((await sessions.heartbeat(short, caller, 'kept')).done).toBe(true);
      return (await sessions.acquire(short, caller, 'new')).done;
    });
    expect((await sessions.heartbeat(short, caller, 'left')).done).toBe(false);
  });

  test('a lowered limit ends no session and admits none until there is room', async () => {
    const sessions = sessionsOf();
    for (const id of ['a', 'b', 'c']) await sessions.acquire(widget, caller, id);
    const lower = { ...widget, limit: 1 };
    expect((await sessions.heartbeat(lower, caller, 'a')).done).toBe(true);
    expect((await sessions.acquire(lower, caller, 'd')).done).toBe(false);
  });

  test.each([
    ['empty', ''],
    ['too long', 'x'.repeat(257)],
  ])('an id that is %s is refused as invalid', async (_, id) => {
    expect(await sessionsOf().acquire(widget, caller, id)).toMatchObject({ done: false, reason: 'invalid' });
  });
});
