// Goal: a check whose reply is late leaves no units in Redis, and takes none of another check (decision 177).
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { LimitState } from '../../../shared/domain/limit.ts';
import type { CheckRequest } from '../../../shared/redis/decision/check.ts';
import type { RedisClient } from '../../../shared/redis/client.ts';
import { createPeriodCache } from '../../../shared/redis/decision/periods.ts';
import { createRefunds } from '../../../shared/redis/decision/refund.ts';
import { createSubjects } from '../../../shared/redis/decision/subjects.ts';
import { shapeOf } from '../../../shared/redis/decision/windows.ts';
import { createLocalLedger } from '../../../shared/redis/fallback/local-ledger.ts';
import { createLocalLimiter } from '../../../shared/redis/fallback/local-limiter.ts';
import { servers, uniqueName } from '../../support/servers.ts';
import { createCutOffNode } from './cut-off-node.ts';
import { breakersOn, connected, limitOf, limiterOn, logger, requestOf } from './limiters.ts';

const startMs = Date.UTC(2026, 0, 31, 10, 20);
const clock = { now: () => startMs };

let redis: RedisClient;
beforeAll(async () => void (redis = await connected(servers().redisUrl)));
afterAll(() => redis.disconnect());

test('a late check that passed a full limit in shadow mode gets its units back', async () => {
  const prefix = uniqueName('late');
  const quota = limitOf({ name: 'hour', type: 'quota', period: 'hour', windowMs: 3_600_000, limit: 100 });
  const limits = [quota, limitOf({ name: 'tried', limit: 1, mode: 'shadow' })];
  const request = requestOf(limits);
  const node = createCutOffNode({ redis, prefix, clock, nodes: 1, checksRunOnMute: false });
  const reader = limiterOn(redis, prefix, { clock, redisTime: clock });
  await node.check(request);
  node.link = 'late';
  expect((await node.check(request)).degraded).toBe(true);
  node.link = 'up';
  await node.reconnect();
  const { states } = await reader.check({ ...request, peek: true });
  expect(states[0]?.remaining).toBe(98);
  node.close();
  await reader.close();
});

test.each(['sliding', 'quota'] as const)(
  'a late check from before a reset takes no units from the checks after it (%s)',
  async (type) => {
    const prefix = uniqueName('reset');
    let nowMs = startMs;
    const time = { now: () => nowMs };
    const limiter = limiterOn(redis, prefix, { clock: time, redisTime: time });
    const of = type === 'quota' ? ({ period: 'hour', windowMs: 3_600_000 } as const) : {};
    const request: CheckRequest = requestOf([limitOf({ type, limit: 100, ...of })], { cost: 10 });
    const { states } = await limiter.check(request);
    nowMs += 5;
    await limiter.reset('acme');
    nowMs += 5;
    await limiter.check(request);
    await undoLate(prefix, request, states);
    expect((await limiter.check({ ...request, peek: true })).states[0]?.remaining).toBe(90);
    await limiter.close();
  },
);

/** Does what a node does with the late reply to a check that Redis ran at `startMs`. */
async function undoLate(prefix: string, request: CheckRequest, states: readonly LimitState[]): Promise<void> {
  const [subjects, periods] = [createSubjects(prefix), createPeriodCache()];
  const local = createLocalLimiter({
    ledger: createLocalLedger({ onDropped: () => undefined }),
    nodes: () => 1,
    periods,
  });
  const breakers = breakersOn(redis, prefix);
  const calls = { redis, keyPrefix: prefix, subjects, periods, local, clock, redisTime: clock, logger };
  const refunds = createRefunds({ ...calls, breakerOf: breakers.of, epochMs: () => 0 });
  const shape = shapeOf(request.limits, true, true, 'UTC');
  const own = shape.subjects.map((kind) => subjects.of(kind, request));
  await refunds.undoLate(
    { request, shape, subjects: own },
    { states: [...states], degraded: false, countedAtMs: startMs, redisTimeMs: startMs, stored: null },
  );
  breakers.close();
}
