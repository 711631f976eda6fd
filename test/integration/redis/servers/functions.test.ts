// Goal: checks run as a function where Redis has functions and as a script elsewhere, and a change between both costs no check.
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { Redis } from 'ioredis';
import type { RedisClient } from '../../../../shared/redis/client.ts';
import type { Limiter } from '../../../../shared/redis/decision/limiter.ts';
import { eventually, startRedis, uniqueName } from '../../../support/servers.ts';
import { connected, limitOf, limiterOn, requestOf } from '../limiters.ts';

type Server = Awaited<ReturnType<typeof startRedis>>;

const limits = [limitOf({ limit: 1000 }), limitOf({ name: 'large', limit: 100_000 })];

interface Calls {
  readonly fcall: number;
  readonly scripts: number;
}

async function callsOf(operator: Redis): Promise<Calls> {
  const info = await operator.info('commandstats');
  const of = (name: string): number =>
    Number(new RegExp(`^cmdstat_${name}:calls=(\\d+)`, 'm').exec(info)?.[1] ?? 0);
  return { fcall: of('fcall'), scripts: of('eval') + of('evalsha') };
}

/** Checks one after the other; each must be decided by Redis and count one unit. */
async function checkTimes(limiter: Limiter, times: number, firstRemaining: number): Promise<void> {
  for (let index = 0; index < times; index += 1) {
    const { passed, degraded, states } = await limiter.check(requestOf(limits));
    expect({ passed, degraded, remaining: states[0]?.remaining }).toEqual({
      passed: true,
      degraded: false,
      remaining: firstRemaining - index,
    });
  }
}

async function librariesOf(operator: Redis): Promise<string[]> {
  const found = (await operator.call('FUNCTION', 'LIST')) as unknown[][];
  return found.map(([, name]) => String(name)).toSorted();
}

function libraryNamed(name: string): string {
  return `#!lua name=${name}\nredis.register_function('${name}', function() return 1 end)`;
}

describe('a server with functions', () => {
  let server: Server;
  let redis: RedisClient;
  let operator: Redis;
  let limiter: Limiter;
  beforeAll(async () => {
    server = await startRedis();
    redis = await connected(server.url);
    operator = new Redis(server.url);
  });
  beforeEach(async () => {
    await operator.call('FUNCTION', 'FLUSH');
    limiter = limiterOn(redis, uniqueName('functions'));
    await eventually(async () => (await librariesOf(operator)).length === 1);
    await operator.config('RESETSTAT');
  });
  afterAll(async () => {
    operator.disconnect();
    redis.disconnect();
    await server.dispose();
  });

  test('checks run as a function', async () => {
    await checkTimes(limiter, 20, 999);
    expect(await callsOf(operator)).toMatchObject({ fcall: 20 });
    await limiter.close();
  });

  test('after FUNCTION FLUSH and SCRIPT FLUSH every check is decided by Redis once, and the function returns', async () => {
    await checkTimes(limiter, 5, 999);
    for (let round = 0; round < 3; round += 1) {
      await operator.call('FUNCTION', 'FLUSH');
      await operator.script('FLUSH');
      await checkTimes(limiter, 5, 994 - round * 5);
      await eventually(async () => (await librariesOf(operator)).length === 1);
    }
    await operator.config('RESETSTAT');
    await checkTimes(limiter, 5, 979);
    expect(await callsOf(operator)).toMatchObject({ fcall: 5 });
    await limiter.close();
  });

  test('without memory when a node connects, the function is loaded later', async () => {
    await limiter.close();
    await operator.call('FUNCTION', 'FLUSH');
    await operator.config('SET', 'maxmemory', 1);
    const own = limiterOn(redis, uniqueName('memory'));
    await eventually(async () => /^errorstat_OOM:/m.test(await operator.info('errorstats')));
    await operator.config('SET', 'maxmemory', 0);
    await eventually(async () => {
      await own.check(requestOf(limits));
      return (await librariesOf(operator)).length === 1;
    });
    await operator.config('RESETSTAT');
    expect(await own.check(requestOf(limits))).toMatchObject({ passed: true, degraded: false });
    expect(await callsOf(operator)).toMatchObject({ fcall: 1 });
    await own.close();
  });

  test('an error in the function leaves nothing behind for the next checks', async () => {
    const prefix = uniqueName('broken');
    const own = limiterOn(redis, prefix);
    await operator.set(`${prefix}:{broken}`, 'not a hash');
    for (let round = 0; round < 5; round += 1) {
      const [broken, good] = await Promise.all([
        own.check(requestOf(limits, { tenantId: 'broken' })),
        limiter.check(requestOf(limits, { tenantId: 'good' })),
      ]);
      expect(broken.degraded).toBe(true);
      expect(good).toMatchObject({ passed: true, degraded: false });
      expect(good.states.map(({ remaining }) => remaining)).toEqual([999 - round, 99_999 - round]);
    }
    await Promise.all([own.close(), limiter.close()]);
  });

  test('a new version deletes the libraries of other versions and of nothing else', async () => {
    await operator.call('FUNCTION', 'FLUSH');
    await operator.call('FUNCTION', 'LOAD', libraryNamed('tollgate_decide_000000000000'));
    await operator.call('FUNCTION', 'LOAD', libraryNamed('another_application'));
    const next = limiterOn(redis, uniqueName('next'));
    await eventually(async () => {
      const names = await librariesOf(operator);
      return names.length === 2 && !names.includes('tollgate_decide_000000000000');
    });
    expect(await librariesOf(operator)).toContain('another_application');
    await Promise.all([next.close(), limiter.close()]);
  });
});

describe.each([
  ['has no functions', ['--rename-command', 'FUNCTION', '', '--rename-command', 'FCALL', '']],
  ['permits FUNCTION, but not FCALL', ['--user', 'default', 'on', 'nopass', '~*', '&*', '+@all', '-fcall']],
  [
    'does not permit functions',
    ['--user', 'default', 'on', 'nopass', '~*', '&*', '+@all', '-function', '-fcall'],
  ],
])('a server that %s', (_, args) => {
  test('decides by the script, without a failed call per check', async () => {
    const server = await startRedis({ args });
    const redis = await connected(server.url);
    const operator = new Redis(server.url);
    const limiter = limiterOn(redis, uniqueName('script'));
    await checkTimes(limiter, 20, 999);
    expect(await callsOf(operator)).toMatchObject({ fcall: 0 });
    expect((await callsOf(operator)).scripts).toBeGreaterThanOrEqual(20);
    const errors = /^total_error_replies:(\d+)/m.exec(await operator.info('stats'));
    expect(Number(errors?.[1])).toBeLessThan(20);
    await limiter.close();
    operator.disconnect();
    redis.disconnect();
    await server.dispose();
  });
});
