import { Registry } from 'prom-client';
import { createBackfill } from '../../../shared/redis/fallback/backfill.ts';
import type { PendingCheck } from '../../../shared/redis/decision/batch.ts';
import type { CheckRequest } from '../../../shared/redis/decision/check.ts';
import type { RedisClient } from '../../../shared/redis/client.ts';
import { createDispatch } from '../../../shared/redis/decision/dispatch.ts';
import type { DecidedCheck } from '../../../shared/redis/decision/dispatch.ts';
import { createLocalLedger } from '../../../shared/redis/fallback/local-ledger.ts';
import { createLocalLimiter } from '../../../shared/redis/fallback/local-limiter.ts';
import { createLimiterMetrics } from '../../../shared/redis/decision/metrics.ts';
import { createPeriodCache } from '../../../shared/redis/decision/periods.ts';
import { createRefunds } from '../../../shared/redis/decision/refund.ts';
import { createSubjects } from '../../../shared/redis/decision/subjects.ts';
import { shapeOf } from '../../../shared/redis/decision/windows.ts';
import { TollgateError } from '../../../shared/runtime/errors.ts';
import type { Clock } from '../../../shared/runtime/time/clock.ts';
import { logger } from './limiters.ts';

/** `up`; `down`: no call arrives; `mute`: calls run and their replies are lost; `late`: the same, but replies to checks arrive late. */
export type Link = 'up' | 'down' | 'mute' | 'late';

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
      if (available && node.link === 'late') lateCalls.push(call());
      available = false;
      throw new TollgateError('REDIS_UNAVAILABLE', 'cut off');
    },
    close: () => undefined,
  };
  const lateCalls: Promise<unknown>[] = [];
  const withoutReply = new WeakSet<PendingCheck>();
  const undone: Promise<void>[] = [];
  const calls = {
    redis,
    periods,
    clock,
    redisTime: clock,
    local,
    logger,
    breakerOf: () => breaker,
    epochMs: () => 0,
  };
  const { undoLate } = createRefunds({ ...calls, keyPrefix: prefix, subjects });
  const dispatch = createDispatch({
    ...{ ...calls, metrics },
    localReservations: {
      reserve: () => {
        throw new Error('no reservations');
      },
    },
    undoLate: (check, decided) => {
      const undoing = withoutReply.has(check) ? Promise.resolve() : undoLate(check, decided);
      undone.push(undoing);
      return undoing;
    },
  });
  return node;

  async function overLink(call: () => Promise<unknown>): Promise<unknown> {
    const reply = node.link === 'down' ? null : await call();
    if (node.link !== 'up') throw new Error('Connection is closed.');
    return reply;
  }

  async function check(request: CheckRequest): Promise<DecidedCheck> {
    const shape = shapeOf(request.limits, request.tenantId !== null, request.userId !== null, 'UTC');
    const own = shape.subjects.map((kind) => subjects.of(kind, request));
    const decided = await new Promise<DecidedCheck>((onDecided) => {
      const queued = { request, shape, subjects: own, onDecided };
      if (node.link === 'mute') withoutReply.add(queued);
      dispatch.enqueue(queued);
    });
    await Promise.all(lateCalls.splice(0));
    await Promise.all(undone.splice(0));
    return decided;
  }

  async function reconnect(): Promise<boolean> {
    // The circuit stays closed until a call has failed.
    if (available && node.link !== 'up') return true;
    try {
      await backfill.run(() => true, 60_000);
      available = node.link === 'up';
    } catch {
      available = false;
    }
    return available;
  }
}
