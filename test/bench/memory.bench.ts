import { Redis } from 'ioredis';
import { freePort } from '../../dev/servers/free-port.ts';
import { startRedisServer } from '../../dev/servers/redis.ts';
import { connected, limitOf, limiterOn, requestOf } from '../integration/redis/limiters.ts';
import { table } from './bench.ts';
import type { Bench, BenchOptions } from './bench.ts';

const limits = [
  limitOf({ name: 'minute', limit: 100, windowMs: 60_000 }),
  limitOf({ name: 'hour', limit: 1000, windowMs: 3_600_000 }),
  limitOf({ name: 'day', type: 'quota', period: 'day', limit: 10_000, windowMs: 86_400_000 }),
];
/** Numbers of requests of each tenant at which memory is read. All of them are inside both sliding windows. */
const marks = [1, 5, 20];
const concurrency = 256;

/** Memory of Redis for tenants with three windows each. */
export const bench: Bench = {
  name: 'memory',
  title: 'Memory of active tenants',
  isPartOfTable: true,
  async run(options) {
    const server = await startRedisServer({ dir: options.dir, port: await freePort(), say: options.say });
    try {
      return await measure(server.url, options);
    } finally {
      await server.stop();
    }
  },
};

async function measure(url: string, { quick, say, record }: BenchOptions): Promise<string> {
  const tenants = quick ? 5000 : 25_000;
  const redis = await connected(url);
  const operator = new Redis(url);
  let nowMs = Date.UTC(2026, 0, 1, 12);
  const clock = { now: () => nowMs };
  const limiter = limiterOn(redis, 'tg', { clock, redisTime: clock });
  await limiter.check(requestOf(limits, { peek: true }));
  const empty = await usedBytes(operator);
  const rows: string[][] = [];
  let sent = 0;
  for (const mark of marks) {
    for (; sent < mark; sent += 1) {
      nowMs += 1000;
      await checkAll(limiter, tenants);
    }
    const bytes = (await usedBytes(operator)) - empty;
    if (mark === marks[0]) record('redisBytesIdle', bytes / tenants);
    if (mark === marks.at(-1)) record('redisBytesBusy', bytes / tenants);
    say(`  ${mark} requests each: ${Math.round(bytes / tenants)} bytes a tenant`);
    rows.push([
      String(mark),
      String(Math.round(bytes / tenants)),
      `${(bytes / 2 ** 20).toFixed(0)} MiB`,
      String(await operator.dbsize()),
    ]);
  }
  await limiter.close();
  redis.disconnect();
  operator.disconnect();
  return [
    `${tenants} tenants, each with a sliding minute (100), a sliding hour (1,000), both exact, and a day’s quota; \`used_memory\``,
    'above the empty server. Every request of a tenant is in a different millisecond, which is the most expensive case.',
    '',
    table(['requests in the windows', 'bytes a tenant', 'in all', 'keys'], rows),
  ].join('\n');
}

async function checkAll(limiter: ReturnType<typeof limiterOn>, tenants: number): Promise<void> {
  let next = 0;
  const worker = async (): Promise<void> => {
    while (next < tenants) {
      const { passed } = await limiter.check(
        requestOf(limits, { tenantId: `tenant-${(next += 1)}`, userId: null }),
      );
      if (!passed) throw new Error('A request was refused, which makes the figures invalid.');
    }
  };
  await Promise.all(Array.from({ length: concurrency }, worker));
}

async function usedBytes(redis: Redis): Promise<number> {
  return Number(/^used_memory:(\d+)/m.exec(await redis.info('memory'))?.[1]);
}
