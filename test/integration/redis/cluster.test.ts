// Goal: checks on a Redis Cluster have the same results as on a single server. Method: three real masters on loopback;
// the keys of tenants, users and addresses are spread over the slots of all three.
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { Registry } from 'prom-client';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { ProcessReport } from '../../../shared/domain/operators/process-report.ts';
import { isCluster } from '../../../shared/redis/client.ts';
import type { RedisClient } from '../../../shared/redis/client.ts';
import type { Limiter } from '../../../shared/redis/decision/limiter.ts';
import { createConcurrency } from '../../../shared/redis/leases/concurrency.ts';
import { tags } from '../../../shared/redis/keys.ts';
import { createSessions } from '../../../shared/redis/leases/sessions.ts';
import { createProcessReports } from '../../../shared/redis/process-reports.ts';
import { slotOf } from '../../../shared/redis/cluster/topology.ts';
import { eventually, uniqueName } from '../../support/servers.ts';
import { startCluster } from './cluster.ts';
import type { RunningCluster } from './cluster.ts';
import { connected, limitOf, limiterOn, logger, requestOf } from './limiters.ts';

let cluster: RunningCluster;
let redis: RedisClient;
let prefix: string;

beforeAll(async () => {
  cluster = await startCluster();
  redis = await connected(cluster.url);
});
afterAll(async () => {
  redis.disconnect();
  await cluster.dispose();
});
beforeEach(() => void (prefix = uniqueName('cluster')));

const perTenant = limitOf({ limit: 3 });
const perUser = limitOf({ name: 'chat', per: ['user'], limit: 2 });
const perIp = limitOf({ name: 'health', per: ['ip'], limit: 2 });
const overall = limitOf({ name: 'all', per: ['global'], limit: 1000 });

test('slots are computed as Redis computes them', async () => {
  for (const tag of ['{acme}', tags.address('192.0.2.1'), tags.tenant('Ünïcødé'), '{x}']) {
    expect(slotOf(tag)).toBe(await redis.cluster('KEYSLOT', `p:${tag}:q`));
  }
});

test('reports of processes are replaced, listed together, deleted, and expire', async () => {
  let nowMs = Date.now();
  const reports = createProcessReports({ redis, keyPrefix: prefix, clock: { now: () => nowMs } });
  const at = new Date(nowMs).toISOString();
  const gateway = (name: string, policy: string): ProcessReport => ({
    ...{ kind: 'gateway', name, at, policy, refused_edit: null, redis_unavailable: 0 },
    ...{ without_redis_at: null, spool_failure: null },
  });
  const odd = 'a {node}: x';
  for (const report of [gateway('gw', 'r1'), gateway(odd, 'r1'), gateway('gw', 'r2')])
    await reports.write(report);
  const listed = async (): Promise<string[]> =>
    (await reports.list()).map((report) => JSON.stringify(report)).toSorted();
  expect(await listed()).toEqual(
    [gateway(odd, 'r1'), gateway('gw', 'r2')].map((report) => JSON.stringify(report)).toSorted(),
  );
  await reports.remove(gateway(odd, 'r1'));
  expect(await listed()).toEqual([JSON.stringify(gateway('gw', 'r2'))]);
  const [id = ''] = await redis.zrange(`${prefix}:{=reports}`, 0, '-1');
  const key = `${prefix}:{=reports}:${id}`;
  expect(await redis.pttl(key)).toBeGreaterThan(3_590_000);
  await redis.set(key, 'a report of a newer version', 'KEEPTTL');
  expect(await listed()).toEqual([]);
  nowMs += 3_700_000;
  await reports.write(gateway('later', 'r2'));
  expect(await redis.zcard(`${prefix}:{=reports}`)).toBe(1);
});

test('C6: many tenants at once, each by its own limit, on all masters', async () => {
  const limiter = limiterOn(redis, prefix);
  const tenants = Array.from({ length: 60 }, (_, index) => `tenant-${index}`);
  const requests = tenants.flatMap((tenantId) =>
    Array.from({ length: 5 }, () => requestOf([perTenant, perUser], { tenantId, userId: null })),
  );
  const results = await Promise.all(requests.map((request) => limiter.check(request)));
  expect(results.filter(({ degraded }) => degraded)).toHaveLength(0);
  expect(results.filter(({ passed }) => passed)).toHaveLength(60 * 2);
  await limiter.close();
});

test('a check over several slots is all-or-nothing: a refusal in one slot consumes nothing in the others', async () => {
  const limiter = limiterOn(redis, prefix);
  const limits = [perTenant, perIp, perUser, overall];
  const check = (changes = {}) => limiter.check(requestOf(limits, changes));
  const remaining = async (changes = {}): Promise<number[]> =>
    (await check({ ...changes, peek: true })).states.map((state) => state.remaining);
  expect(await check()).toMatchObject({ passed: true, degraded: false });
  expect(await remaining()).toEqual([2, 1, 1, 999]);
  expect((await check({ tenantId: 'globex', userId: 'bob' })).passed).toBe(true);
  expect(await check({ userId: 'cyd' }), 'the address is used up').toMatchObject({ passed: false });
  expect(await remaining({ ip: '192.0.2.2' })).toEqual([2, 2, 1, 998]);
  await limiter.close();
});

test('concurrent checks over several slots never exceed a limit, and return the units of refused checks', async () => {
  const limiter = limiterOn(redis, prefix);
  const limits = [limitOf({ limit: 1000 }), limitOf({ name: 'ip', per: ['ip'], limit: 7 })];
  const results = await Promise.all(Array.from({ length: 40 }, () => limiter.check(requestOf(limits))));
  expect(results.filter(({ passed }) => passed)).toHaveLength(7);
  await eventually(async () => {
    const { states } = await limiter.check(requestOf(limits, { peek: true }));
    expect(states.map(({ remaining }) => remaining)).toEqual([993, 0]);
    return true;
  });
  await limiter.close();
});

test('resets, restoration of quotas, permits and sessions work on a cluster', async () => {
  const limiter = limiterOn(redis, prefix);
  const request = requestOf([limitOf({ limit: 1 })]);
  await limiter.check(request);
  expect((await limiter.check(request)).passed).toBe(false);
  await limiter.reset('acme');
  expect((await limiter.check(request)).passed).toBe(true);
  await limiter.resetAll();
  expect((await limiter.check(request)).passed).toBe(true);
  const day = limitOf({ name: 'day', type: 'quota', period: 'day', windowMs: 86_400_000, limit: 5 });
  expect(await limiter.raiseQuota('acme', day, Date.now(), 4)).toEqual({ before: 0, after: 4 });

  const clock = { now: () => Date.now() };
  const { breakerOf } = limiter;
  const options = { redis, breakerOf, keyPrefix: prefix, node: 'n', nodes: () => 1, clock, logger };
  const concurrency = createConcurrency({ ...options, registry: new Registry() });
  const platform = [
    limitOf({ name: 'platform', type: 'concurrent', per: ['global'], limit: 2, windowMs: 0 }),
  ];
  const permits = await Promise.all([1, 2, 3].map(async () => concurrency.acquire(platform, request)));
  expect(permits.map(({ granted }) => granted)).toEqual([true, true, false]);
  const widget = { name: 'widget', per: ['tenant'], limit: 1, ttlMs: 5000 } as const;
  const sessions = createSessions(options);
  expect((await sessions.acquire(widget, request, 'a')).done).toBe(true);
  expect((await sessions.acquire(widget, request, 'b')).done).toBe(false);
  await Promise.all([concurrency.close(), limiter.close()]);
});

describe('leases', () => {
  const large = [limitOf({ limit: 100_000 })];
  let nowMs: number;
  const options = { redisTime: { now: () => nowMs }, clock: { now: () => nowMs } };
  beforeEach(() => void (nowMs = Date.UTC(2026, 0, 1)));

  test('serve busy tenants in all slots, and their unspent units are returned', async () => {
    const registry = new Registry();
    const limiter = limiterOn(redis, prefix, { ...options, registry, leaseUnits: true });
    const tenants = Array.from({ length: 12 }, (_, index) => `busy-${index}`);
    for (let round = 0; round < 200; round += 1) {
      nowMs += 1;
      const checks = tenants.map((tenantId) => limiter.check(requestOf(large, { tenantId })));
      for (const { passed, degraded } of await Promise.all(checks))
        expect({ passed, degraded }).toEqual({ passed: true, degraded: false });
    }
    const units = await registry.getSingleMetric('tollgate_lease_units_total')?.get();
    const spent = units?.values.find(({ labels }) => labels['result'] === 'spent')?.value;
    expect(spent).toBeGreaterThan(12 * 100);
    await limiter.close();
    const plain = limiterOn(redis, prefix, options);
    for (const tenantId of tenants) {
      const { states } = await plain.check(requestOf(large, { tenantId, peek: true }));
      expect(states[0]?.remaining).toBe(100_000 - 200);
    }
    await plain.close();
  });

  test('that have an entry of their own let the units of a check be returned that another slot refused', async () => {
    const [leasing, plain] = [
      limiterOn(redis, prefix, { ...options, leaseUnits: true }),
      limiterOn(redis, prefix, options),
    ];
    await leasing.check(requestOf(large));
    // The lease ends more than a grain after this check, so its units begin an entry, whose timestamp is ahead of the clock.
    nowMs += 700;
    for (let check = 0; check < 17; check += 1) await leasing.check(requestOf(large));
    await leasing.close();
    const limits = [...large, limitOf({ name: 'ip', per: ['ip'], limit: 3 })];
    const checks = Array.from({ length: 30 }, () => plain.check(requestOf(limits)));
    expect((await Promise.all(checks)).filter(({ passed }) => passed)).toHaveLength(3);
    await eventually(async () => {
      const { states } = await plain.check(requestOf(limits, { peek: true }));
      expect(states.map(({ remaining }) => remaining)).toEqual([100_000 - 18 - 3, 0]);
      return true;
    });
    await plain.close();
  });
});

test('a slot that moves to another master keeps its counters', async () => {
  const limiter = limiterOn(redis, prefix);
  const limits = [limitOf({ limit: 10 })];
  await Promise.all(Array.from({ length: 4 }, () => limiter.check(requestOf(limits))));
  const slot = slotOf('{acme}');
  const ids = await Promise.all(cluster.servers.map(({ port }) => cli(port, 'cluster', 'myid')));
  const owner = (
    await Promise.all(
      cluster.servers.map(async ({ port }) => cli(port, 'cluster', 'countkeysinslot', String(slot))),
    )
  ).findIndex((count) => Number(count) > 0);
  const from = cluster.servers[owner]!;
  const to = cluster.servers[(owner + 1) % 3]!;
  await cli(to.port, 'cluster', 'setslot', String(slot), 'importing', ids[owner]!);
  await cli(from.port, 'cluster', 'setslot', String(slot), 'migrating', ids[(owner + 1) % 3]!);
  const keys = (await cli(from.port, 'cluster', 'getkeysinslot', String(slot), '1000')).split('\n');
  await cli(from.port, 'migrate', '127.0.0.1', String(to.port), '', '0', '5000', 'keys', ...keys);
  for (const server of [to, from])
    await cli(server.port, 'cluster', 'setslot', String(slot), 'node', ids[(owner + 1) % 3]!);
  await eventually(async () => {
    const { degraded, states } = await limiter.check(requestOf(limits, { peek: true }));
    return !degraded && states[0]?.remaining === 6;
  });
  await limiter.close();
});

async function cli(port: number, ...args: readonly string[]): Promise<string> {
  return (await promisify(execFile)('redis-cli', ['-p', String(port), ...args])).stdout.trim();
}

describe('reservations over several slots', () => {
  const ofTenant = limitOf({ name: 'tokens', of: 'tokens', limit: 1_000 });
  const ofAddress = limitOf({ name: 'address', of: 'tokens', per: ['ip'], limit: 600 });
  const ofAll = limitOf({ name: 'all', of: 'tokens', per: ['global'], limit: 1_500 });
  const limits = [perTenant, ofTenant, ofAddress, ofAll];
  const requestFor = (tokens: number, id: string, changes = {}) =>
    requestOf(limits, {
      ...{ amounts: { tokens }, reservation: { id, expiresMs: 60_000, details: id } },
      ...changes,
    });
  const left = async (limiter: Limiter, changes = {}): Promise<number[]> =>
    (await limiter.check(requestOf(limits, { peek: true, ...changes }))).states.map(
      ({ remaining }) => remaining,
    );

  test('are charged, extended and settled in every slot, by any node, or in none', async () => {
    const [limiter, other] = [limiterOn(redis, prefix), limiterOn(redis, prefix)];
    const { passed, reservation } = await limiter.check(requestFor(300, 'r1'));
    expect(passed).toBe(true);
    expect(reservation).toMatchObject({ existing: null, handle: { records: { length: 3 } } });
    expect(await other.check(requestFor(300, 'r1'))).toMatchObject({
      reservation: { existing: { details: 'r1' } },
    });
    expect(await left(limiter)).toEqual([2, 700, 300, 1_200]);
    const found = await other.findReservation('acme', 'r1');
    expect(found).toMatchObject({
      state: 'open',
      amounts: { tokens: 300 },
      handle: { records: { length: 3 } },
    });
    expect(await other.extend(found!.handle, { tokens: 200 })).toMatchObject({ passed: true });
    expect(await other.extend(found!.handle, { tokens: 101 })).toMatchObject({
      passed: false,
      reason: 'limit',
    });
    expect(await left(limiter)).toEqual([2, 500, 100, 1_000]);
    expect(await limiter.settle(reservation!.handle, { tokens: 50 })).toMatchObject({ outcome: 'applied' });
    expect(await left(limiter)).toEqual([2, 950, 550, 1_450]);
    await Promise.all([limiter.close(), other.close()]);
  });

  test('that one slot refuses charge nothing and leave no record', async () => {
    const limiter = limiterOn(redis, prefix);
    expect(await limiter.check(requestFor(601, 'r1'))).toMatchObject({ passed: false, reservation: null });
    const results = await Promise.all(
      Array.from({ length: 9 }, (_, index) =>
        limiter.check(requestFor(250, `c${index}`, { tenantId: `t${index}` })),
      ),
    );
    const admitted = results.filter(({ passed }) => passed).length;
    expect(admitted).toBeLessThanOrEqual(2);
    await eventually(async () => (await left(limiter))[2] === 600 - admitted * 250);
    const records = await Promise.all(
      (isCluster(redis) ? redis.nodes('master') : []).map((server) => server.keys(`${prefix}:*:r:*`)),
    );
    expect(records.flat()).toHaveLength(admitted * 3);
    await limiter.close();
  });
});
