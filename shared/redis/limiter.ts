import type { Limit } from '../domain/limit.ts';
import type { Clock } from '../runtime/clock.ts';
import type { Logger } from '../runtime/logger.ts';
import { messageOf } from '../runtime/errors.ts';
import type { Registry } from '../runtime/ops.ts';
import { encodeBatch, decodeBatch } from './batch.ts';
import type { PendingCheck } from './batch.ts';
import { isCost, resultOf, stateOf } from './check.ts';
import type { CheckRequest, CheckResult } from './check.ts';
import type { RedisClient } from './client.ts';
import { createPeriodCache, periodsAround } from './periods.ts';
import { readScript, runScript } from './scripts.ts';
import { createSubjects } from './subjects.ts';
import { shapeOf, windowOf } from './windows.ts';

export interface LimiterOptions {
  readonly redis: RedisClient;
  readonly keyPrefix: string;
  readonly clock: Clock;
  readonly registry: Registry;
  readonly logger: Logger;
  /** Name of this node among those that share the limits; unique per process. */
  readonly node?: string;
  /** Redis's time, in tests only. */
  readonly redisTime?: Clock;
}

export interface Limiter {
  /** Decides all sliding windows and quotas of a request, all-or-nothing. Never rejects. */
  check(request: CheckRequest): Promise<CheckResult>;
  /** Empties all windows of a tenant and its users. Rejects when Redis does not answer. */
  reset(tenantId: string): Promise<void>;
  /** Empties all windows of everybody; the other nodes follow within a second. */
  resetAll(): Promise<void>;
  /** `used = max(used, consumed - baseline)` of a tenant's quota; `leastBaseline` is what a recorded reset had counted. */
  raiseQuota(
    tenantId: string,
    limit: Limit,
    periodStartMs: number,
    consumed: number,
    options?: { leastBaseline?: number; timeZone?: string },
  ): Promise<{ before: number; after: number }>;
  close(): Promise<void>;
}

interface Waiting extends PendingCheck {
  readonly startedAt: number;
  readonly resolve: (result: CheckResult) => void;
}

const batchMax = 64;

const decideScript = readScript('clock', 'sliding', 'quota', 'decide');
const resetScript = readScript('clock', 'reset');
const raiseScript = readScript('clock', 'quota', 'raise');

export function createLimiter(options: LimiterOptions): Limiter {
  const { redis, keyPrefix, clock, logger, redisTime } = options;
  const subjects = createSubjects(keyPrefix);
  const periods = createPeriodCache();
  let epochMs = 0;
  let queue: Waiting[] = [];

  return { check, reset, resetAll, raiseQuota, close: () => Promise.resolve() };

  function check(request: CheckRequest): Promise<CheckResult> {
    const timeZone = request.timeZone ?? 'UTC';
    const shape = shapeOf(request.limits, request.tenantId !== null, request.userId !== null, timeZone);
    const { promise, resolve } = Promise.withResolvers<CheckResult>();
    queue.push({
      request,
      shape,
      subjects: shape.subjects.map((kind) => subjects.of(kind, request)),
      startedAt: performance.now(),
      resolve,
    });
    // Whatever else arrives in this turn of the event loop travels along; no timer is involved.
    if (queue.length === 1) setImmediate(flush);
    return promise;
  }

  function flush(): void {
    const checks = queue;
    queue = [];
    for (let from = 0; from < checks.length; from += batchMax) {
      void send(checks.slice(from, from + batchMax));
    }
  }

  async function send(checks: readonly Waiting[]): Promise<void> {
    try {
      const { keys, args } = encodeBatch(checks, {
        timeMs: timeArgument(),
        epochMs,
        nowMs: clock.now(),
        periods,
      });
      const { states } = decodeBatch(await runScript(redis, decideScript, keys, args), checks);
      checks.forEach(({ request, startedAt, resolve }, index) =>
        resolve(resultOf(states[index] ?? [], isCost(request.cost), false, microsSince(startedAt))),
      );
    } catch (error) {
      logger.warn({ err: error }, messageOf(error));
      const nowMs = clock.now();
      for (const { request, shape, startedAt, resolve } of checks) {
        const states = shape.windows.map(({ limit, units }) =>
          stateOf(limit, nowMs, { remaining: units, resetInMs: 0, waitMs: 0 }),
        );
        resolve(resultOf(states, isCost(request.cost), true, microsSince(startedAt)));
      }
    }
  }

  async function reset(tenantId: string): Promise<void> {
    await runScript(redis, resetScript, [subjects.tenant(tenantId).key], [timeArgument(), epochMs]);
  }

  function resetAll(): Promise<void> {
    epochMs = Math.max(epochMs + 1, redisTime?.now() ?? clock.now());
    return Promise.resolve();
  }

  async function raiseQuota(
    tenantId: string,
    limit: Limit,
    periodStartMs: number,
    consumed: number,
    { leastBaseline = 0, timeZone = 'UTC' } = {},
  ): Promise<{ before: number; after: number }> {
    const { start, finish } = periodsAround(limit.period ?? 'day', timeZone, periodStartMs);
    const reply = await runScript(
      redis,
      raiseScript,
      [subjects.tenant(tenantId).key],
      [timeArgument(), epochMs, windowOf(limit).field, start, finish, Math.floor(consumed), leastBaseline],
    );
    const [before = 0, after = 0] = reply as number[];
    return { before, after };
  }

  function timeArgument(): number | '' {
    return redisTime?.now() ?? '';
  }
}

function microsSince(startedAt: number): number {
  return Math.round((performance.now() - startedAt) * 1000);
}
