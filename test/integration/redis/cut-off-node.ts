import { Registry } from 'prom-client';
import { createBackfill } from '../../../shared/redis/fallback/backfill.ts';
import type { CheckRequest } from '../../../shared/redis/decision/check.ts';
import type { RedisClient } from '../../../shared/redis/client.ts';
import { createDispatch } from '../../../shared/redis/decision/dispatch.ts';
import type { DecidedCheck } from '../../../shared/redis/decision/dispatch.ts';
import { createLocalLedger } from '../../../shared/redis/fallback/local-ledger.ts';
import { createLocalLimiter } from '../../../shared/redis/fallback/local-limiter.ts';
import { createLimiterMetrics } from '../../../shared/redis/decision/metrics.ts';
import { createPeriodCache } from '../../../shared/redis/decision/periods.ts';
import { createSubjects } from '../../../shared/redis/decision/subjects.ts';
import { shapeOf } from '../../../shared/redis/decision/windows.ts';
import { TollgateError } from '../../../shared/runtime/errors.ts';
import type { Clock } from '../../../shared/runtime/time/clock.ts';
import { logger } from './limiters.ts';

/** `up`; `down`: no call arrives; `mute`: calls run and their replies are lost. */
export type Link = 'up' | 'down' | 'mute';

/** A node whose connection to a real Redis the test cuts and restores, step by step and without timers. */
export interface CutOffNode {
  link: Link;
  check(request: CheckRequest): Promise<DecidedCheck>;
  /** Does what the circuit breaker does after a successful probe: runs the backfill, then closes the circuit. */
  reconnect(): Promise<boolean>;
  close(): void;
}

export interface NodeOptions {
  readonly redis: RedisClient;
  readonly prefix: string;
  readonly clock: Clock;
  readonly nodes: number;
  /**
   * Whether Redis also runs checks whose replies do not reach the node, so that their units are counted by Redis and by
   * the node.
   */
  readonly checksRunOnMute: boolean;
}

export function createCutOffNode({ redis, prefix, clock, nodes, checksRunOnMute }: NodeOptions): CutOffNode {
  const metrics = createLimiterMetrics(new Registry(), () => nodes);
  const periods = createPeriodCache();
  const subjects = createSubjects(prefix);
  const onDropped = (): never => {
    throw new Error('a batch was dropped');
  };
  const ledger = createLocalLedger({ onDropped });
  const local = createLocalLimiter({ ledger, nodes: () => nodes, periods });
  let available = true;
  const node: CutOffNode = { link: 'up', check, reconnect, close: () => dispatch.close() };
  const cut = new Proxy(redis, {
    // A backfill uses only these two commands.
    get:
      (target, name: 'evalsha' | 'eval') =>
      (...args: Parameters<RedisClient['evalsha']>) =>
        overLink(() => target[name](...args)),
  });
  const backfill = createBackfill({
    ...{ redis: cut, ledger, periods, clock, redisTime: clock, timeoutMs: 10_000, onDropped, logger },
    epochMs: () => 0,
    offsetMs: () => 0,
  });
  const breaker = {
    isOpen: () => !available,
    run: async <T>(call: () => Promise<T>): Promise<T> => {
      if (available && node.link === 'up') return call();
      if (available && node.link === 'mute' && checksRunOnMute) await call();
      available = false;
      throw new TollgateError('REDIS_UNAVAILABLE', 'cut off');
    },
    close: () => undefined,
  };
  const dispatch = createDispatch({
    ...{
      redis,
      periods,
      clock,
      redisTime: clock,
      metrics,
      logger,
      local,
      localReservations: {
        reserve: () => {
          throw new Error('no reservations');
        },
      },
    },
    breakerOf: () => breaker,
    epochMs: () => 0,
  });
  return node;

  async function overLink(call: () => Promise<unknown>): Promise<unknown> {
    const reply = node.link === 'down' ? null : await call();
    if (node.link !== 'up') throw new Error('Connection is closed.');
    return reply;
  }

  function check(request: CheckRequest): Promise<DecidedCheck> {
    const shape = shapeOf(request.limits, request.tenantId !== null, request.userId !== null, 'UTC');
    const own = shape.subjects.map((kind) => subjects.of(kind, request));
    return new Promise((onDecided) => dispatch.enqueue({ request, shape, subjects: own, onDecided }));
  }

  async function reconnect(): Promise<boolean> {
    try {
      await backfill.run(() => true, 60_000);
      available = node.link === 'up';
    } catch {
      available = false;
    }
    return available;
  }
}
