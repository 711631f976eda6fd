// Goal: if Redis is unavailable several times within a window, the nodes together exceed a limit by at most the
// sum of their shares, however many outages there are. A single node never exceeds a limit. Method: a real server is
// paused, or killed and restarted, five times, while nodes constantly send more checks than the limits allow. The test
// counts the admitted units and compares them with Redis at the end.
import { describe, expect, test } from 'vitest';
import type { Limit } from '../../../shared/domain/limit.ts';
import type { CheckRequest } from '../../../shared/redis/decision/check.ts';
import type { RedisClient } from '../../../shared/redis/client.ts';
import type { Limiter } from '../../../shared/redis/decision/limiter.ts';
import { connected, limitOf, limiterOn, requestOf } from '../../integration/redis/limiters.ts';
import { eventually, startRedis, uniqueName } from '../../support/servers.ts';
import { outageOf, runOutages } from './outages.ts';
import type { OutageKind } from './outages.ts';

const long = process.env['TOLLGATE_FAULTS'] === 'long';
const series = { count: long ? 20 : 5, downMs: 2_300, upMs: long ? 2_700 : 1_200 };
const tickMs = 10;
const dayMs = 86_400_000;

interface Case {
  readonly name: string;
  readonly limits: readonly Limit[];
  readonly request: CheckRequest;
}

function caseOf(limit: Limit, tenantId: string): Case {
  const limits = [limit];
  return { name: `${limit.limit} per ${limit.name}`, limits, request: requestOf(limits, { tenantId }) };
}

const quota = { type: 'quota', period: 'day', windowMs: dayMs } as const;
const cases: readonly Case[] = [
  caseOf(limitOf({ ...quota, name: 'day', limit: 400 }), 'by-day'),
  caseOf(limitOf({ ...quota, name: 'user day', limit: 300, per: ['user'] }), 'by-user'),
  // The window is longer than the test, so that no unit expires.
  caseOf(limitOf({ name: 'minutes', limit: 200, windowMs: 300_000 }), 'by-window'),
];

type Server = Awaited<ReturnType<typeof startRedis>>;

interface Run {
  readonly server: Server;
  readonly clients: readonly RedisClient[];
  readonly limiters: readonly Limiter[];
}

async function startRun(nodes: number): Promise<Run> {
  const server = await startRedis({ durable: true });
  const prefix = uniqueName('outages');
  const clients: RedisClient[] = [];
  const limiters: Limiter[] = [];
  for (let index = 0; index < nodes; index += 1) {
    const redis = await connected(server.url);
    clients.push(redis);
    limiters.push(limiterOn(redis, prefix, { node: `node-${index}`, callTimeoutMs: 35 }));
  }
  await eventually(() => limiters.every((limiter) => limiter.state().nodes === nodes));
  return { server, clients, limiters };
}

async function stopRun({ server, clients, limiters }: Run): Promise<void> {
  await Promise.all(limiters.map((limiter) => limiter.close()));
  for (const redis of clients) redis.disconnect();
  await server.dispose();
}

/** Continuously sends checks of each case to each node. `stop` resolves with the admitted units of each case. */
function startLoad(limiters: readonly Limiter[]): { stop(): Promise<number[]>; degraded(): number } {
  const admitted = cases.map(() => 0);
  const pending = new Set<Promise<void>>();
  let degraded = 0;
  const check = async (limiter: Limiter, index: number): Promise<void> => {
    const request = cases[index]?.request;
    if (request === undefined) return;
    const result = await limiter.check(request);
    if (result.degraded) degraded += 1;
    if (result.passed) admitted[index] = (admitted[index] ?? 0) + 1;
  };
  const timer = setInterval(() => {
    for (const limiter of limiters) {
      cases.forEach((_, index) => {
        const call = check(limiter, index).finally(() => pending.delete(call));
        pending.add(call);
      });
    }
  }, tickMs);
  return {
    degraded: () => degraded,
    stop: async () => {
      clearInterval(timer);
      await Promise.all(pending);
      return admitted;
    },
  };
}

/** Reads the used units of each case from Redis with a peek, which consumes nothing. */
async function countedBy({ limiters }: Run): Promise<number[]> {
  return Promise.all(
    cases.map(({ request, limits }) =>
      eventually(async () => {
        // The peek has a much larger limit with the same window, so that its remaining units also show usage above the
        // real limit.
        const wide = limits.map((limit) => ({ ...limit, limit: 1_000_000 }));
        const result = await limiters[0]?.check({ ...request, limits: wide, peek: true });
        if (result === undefined || result.degraded) return null;
        return 1_000_000 - (result.states[0]?.remaining ?? 0);
      }),
    ),
  );
}

// The series run at the same time, each on its own server: they mostly wait.
describe.concurrent('repeated outages', () => {
  test.each<[OutageKind, number]>([
    ['SIGSTOP', 1],
    ['SIGSTOP', 3],
    ['SIGKILL', 2],
  ])(
    `D1: ${series.count} times %s, %i nodes: each limit is exceeded by the nodes' shares at most, once`,
    async (kind, nodes) => {
      const run = await startRun(nodes);
      try {
        await checkSeries(run, kind);
      } finally {
        await stopRun(run);
      }
    },
    180_000,
  );
});

async function checkSeries(run: Run, kind: OutageKind): Promise<void> {
  const nodes = run.limiters.length;
  const load = startLoad(run.limiters);
  await runOutages(outageOf(run.server, kind), series);
  const admitted = await load.stop();
  // A node counts the units that it admitted without Redis when its own calls are answered again.
  const counted = await eventually(async () => {
    const units = await countedBy(run);
    expect(
      units.every((count, index) => count >= (admitted[index] ?? 0)),
      units.join(),
    ).toBe(true);
    return units;
  });
  console.log(
    `${kind}, ${nodes} nodes, ${series.count} outages: ${cases
      .map(({ name }, index) => `admitted ${admitted[index]}, in Redis ${counted[index]} (${name})`)
      .join('; ')}; ${load.degraded()} checks decided locally`,
  );
  expect(load.degraded()).toBeGreaterThan(0);
  cases.forEach(({ limits }, index) => {
    const limit = limits[0]?.limit ?? 0;
    const shares = nodes === 1 ? 0 : nodes * Math.floor(limit / nodes);
    expect(admitted[index]).toBeGreaterThanOrEqual(limit * 0.9);
    expect(admitted[index]).toBeLessThanOrEqual(limit + shares);
  });
}
