import type { Limit } from '../../domain/limit.ts';
import type { Clock } from '../../runtime/time/clock.ts';
import type { Logger } from '../../runtime/logger.ts';
import { TollgateError, messageOf } from '../../runtime/errors.ts';
import type { Registry } from '../../runtime/http/ops.ts';
import type { PendingCheck } from './batch.ts';
import { isCost, resultOf } from './check.ts';
import type { CheckRequest, CheckResult } from './check.ts';
import { callTimeoutMsDefault, isCluster, replyWithin } from '../client.ts';
import type { RedisClient } from '../client.ts';
import { createBackfill } from '../fallback/backfill.ts';
import { createDispatch } from './dispatch.ts';
import type { Answer, Queued } from './dispatch.ts';
import { createLocalLedger } from '../fallback/local-ledger.ts';
import { createLocalLimiter } from '../fallback/local-limiter.ts';
import { createLimiterMetrics } from './metrics.ts';
import { createServerBreakers } from '../fallback/server-breakers.ts';
import type { ServerBreakers } from '../fallback/server-breakers.ts';
import { createLiveNodes } from '../leases/live-nodes.ts';
import { createPeriodCache, periodsAround } from './periods.ts';
import { readScript, runScript } from '../scripts.ts';
import { decideInParts, spansSlots } from '../cluster/split.ts';
import { createSubjects } from './subjects.ts';
import type { Caller, Subject } from './subjects.ts';
import { shapeOf, subjectKind, windowOf } from './windows.ts';
import type { Window } from './windows.ts';

export interface LimiterOptions {
  readonly redis: RedisClient;
  readonly keyPrefix: string;
  readonly clock: Clock;
  readonly registry: Registry;
  readonly logger: Logger;
  /**
   * Name of this node among those that grant requests; unique per process. Without one the limiter only follows the
   * epoch and does not count as a node (a console, a reconciler).
   */
  readonly node?: string;
  /** Nodes to share limits with while Redis has never been heard; at least 1. */
  readonly nodesLeast?: number;
  /** A call without an answer for this long is decided locally, and Redis is given up on until a probe succeeds. */
  readonly callTimeoutMs?: number;
  /** Redis's time, in tests only. */
  readonly redisTime?: Clock;
}

export interface Limiter {
  /** Decides all sliding windows and quotas of a request, all-or-nothing. Never rejects. */
  check(request: CheckRequest): Promise<CheckResult>;
  /** The same without a promise. `answer` is called once, maybe at once, and must not throw. */
  checkWith(request: CheckRequest, answer: (result: CheckResult) => void): void;
  /**
   * Returns units to the windows that a check of this request would take them from, oldest first; `peek` means nothing
   * here. `metered`: the events of the units were written, so that totals in ClickHouse hold them. Resolves with the
   * units that were returned, at most those that the fullest of the windows held; all of them where no window counts
   * the caller. Without an answer from Redis nothing is returned: too strict, never over. Never rejects.
   */
  refund(request: CheckRequest, metered: boolean): Promise<number>;
  /** Empties all windows of a tenant and its users. Rejects when Redis does not answer. */
  reset(tenantId: string): Promise<void>;
  /** Empties all windows of everybody; the other nodes follow within a second. */
  resetAll(): Promise<void>;
  /**
   * `used = max(used, consumed - baseline)` of a quota; `leastBaseline` is what a recorded reset had counted. The counter
   * is the tenant's own, or the one that a check of `caller` would look at. Rejects with REDIS_VALUE_REFUSED, and changes
   * nothing, where `consumed` is more than a counter holds.
   */
  raiseQuota(
    tenantId: string,
    limit: Limit,
    periodStartMs: number,
    consumed: number,
    options?: { leastBaseline?: number; timeZone?: string; caller?: Caller },
  ): Promise<{ before: number; after: number }>;
  /** Nodes that share the limits, and the Redis servers that this node decides without. */
  state(): { readonly nodes: number; readonly serversUnavailable: number };
  /** The circuit breaker of the Redis server that holds a hash tag, for other calls that must not wait for it. */
  readonly breakerOf: ServerBreakers['of'];
  close(): Promise<void>;
}

/** Operators' calls wait longer than checks: they are few and must not be decided locally. */
const operatorTimeoutMs = 2000;
/** Six bytes of a quota's field (`scripts/quota.lua`). */
const quotaUnitsMax = 2 ** 48 - 1;

/** A batch of local units without an answer for this long waits for the next time. */
const backfillTimeoutMs = 250;
/** Checks wait for a backfill no longer than this; the rest follows in the background. */
const catchUpMsMax = 500;
const upkeepIntervalMs = 1_000;

const resetScript = readScript('clock', 'reset');
const raiseScript = readScript('clock', 'quota', 'raised', 'raise');
const returnScript = readScript('clock', 'sliding', 'quota', 'return');
const refundScript = readScript('clock', 'sliding', 'quota', 'refund');

export function createLimiter(options: LimiterOptions): Limiter {
  const { redis, keyPrefix, clock, logger, redisTime, node = null, nodesLeast = 1 } = options;
  const subjects = createSubjects(keyPrefix);
  const periods = createPeriodCache();
  const nodes = createLiveNodes({ redis, keyPrefix, node, nodesLeast, clock, logger });
  const metrics = createLimiterMetrics(options.registry, () => nodes.count());
  const callTimeoutMs = options.callTimeoutMs ?? callTimeoutMsDefault;
  const ledger = createLocalLedger({ onDropped: metrics.backfillDropped });
  const local = createLocalLimiter({ ledger, nodes: () => nodes.count(), periods });
  const shared = { redis, periods, clock, redisTime, metrics, logger, epochMs: () => nodes.epochMs() };
  const backfill = createBackfill({
    ...shared,
    ledger,
    offsetMs: () => (redisTime === undefined ? nodes.offsetMs() : redisTime.now() - clock.now()),
    timeoutMs: Math.max(callTimeoutMs, backfillTimeoutMs),
    onDropped: metrics.backfillDropped,
  });
  const breakers = createServerBreakers({ redis, keyPrefix, callTimeoutMs, catchUp, metrics, logger });
  const dispatch = createDispatch({ ...shared, breakerOf: breakers.of, local });
  const upkeep = setInterval(keepUp, upkeepIntervalMs);
  upkeep.unref();
  const cluster = isCluster(redis);

  return {
    check: (request) => new Promise((resolve) => checkWith(request, resolve)),
    checkWith,
    refund,
    reset,
    resetAll: () => replyWithin(nodes.resetAll(), operatorTimeoutMs),
    raiseQuota,
    state: () => ({ nodes: nodes.count(), serversUnavailable: breakers.unavailable() }),
    breakerOf: breakers.of,
    close,
  };

  function checkWith(request: CheckRequest, answer: (result: CheckResult) => void): void {
    const startedAt = performance.now();
    const { tenantId, userId, limits, timeZone = 'UTC' } = request;
    const shape = shapeOf(limits, tenantId !== null, userId !== null, timeZone);
    const own = shape.subjects.map((kind) => subjects.of(kind, request));
    const settle = ({ states, degraded }: Answer): void =>
      answer(resultOf(states, isCost(request.cost), degraded, microsSince(startedAt)));
    const queued: Queued = { request, shape, subjects: own, answer: settle };
    if (shape.windows.length === 0) settle({ states: [], degraded: false, stampMs: 0 });
    else if (cluster && spansSlots(queued)) void decideInParts(queued, askPart, giveBack).then(settle);
    else dispatch.enqueue(queued);
  }

  function askPart(part: PendingCheck): Promise<Answer> {
    return new Promise((resolve) => dispatch.enqueue({ ...part, answer: resolve }));
  }

  function giveBack(
    { request, shape, subjects: own }: PendingCheck,
    { states, stampMs, degraded }: Answer,
  ): void {
    if (stampMs === 0) {
      if (degraded) local.giveBack({ request, shape, subjects: own }, states, clock.now());
      return;
    }
    const taken = shape.windows.map((_, index) => index).filter((index) => states[index]?.violated === false);
    const keys = taken.map((index) => own[shape.subjectOf[index] ?? 0]?.key ?? '');
    const fields = taken.flatMap((index) => {
      const window = shape.windows[index];
      return window === undefined ? [] : [window.field, window.period === null ? 0 : 1];
    });
    const args = [timeArgument(), nodes.epochMs(), stampMs, request.cost, ...fields];
    breakers
      .of(own[0]?.tag ?? '{}')
      .run(() => runScript(redis, returnScript, keys, args))
      .catch((error: unknown) => logger.debug({ reason: messageOf(error) }, 'could not give back'));
  }

  /** A call for each subject: they may live in different slots, and nothing has to be equal across them. */
  async function refund(request: CheckRequest, metered: boolean): Promise<number> {
    const { tenantId, userId, limits, timeZone = 'UTC' } = request;
    const shape = shapeOf(limits, tenantId !== null, userId !== null, timeZone);
    if (shape.windows.length === 0) return request.cost;
    const returned = await Promise.all(
      shape.subjects.map(async (kind, index) => {
        const subject = subjects.of(kind, request);
        const windows = shape.windows.flatMap((window, place) =>
          shape.subjectOf[place] === index ? refundArguments(window, shape.timeZones[place] ?? 'UTC') : [],
        );
        const keys = subject.owner === null ? [subject.key] : [subject.key, subject.owner.key];
        const args = [timeArgument(), nodes.epochMs(), request.cost, metered ? 1 : 0, ...windows];
        return breakers
          .of(subject.tag)
          .run(() => runScript(redis, refundScript, keys, args))
          .then(Number)
          .catch((error: unknown) => {
            logger.warn({ reason: messageOf(error) }, 'units not returned');
            return 0;
          });
      }),
    );
    return Math.max(...returned);
  }

  function refundArguments({ field, period, spanMs }: Window, timeZone: string): (string | number)[] {
    if (period === null) return [field, 0, spanMs, 0, 0, 0, 0];
    const { before, start, finish, after } = periods.around(period, timeZone, clock.now());
    return [field, 1, spanMs, before, start, finish, after];
  }

  async function reset(tenantId: string): Promise<void> {
    const tenant = subjects.tenant(tenantId);
    await replyWithin(
      runScript(redis, resetScript, [tenant.key], [timeArgument(), nodes.epochMs()]),
      operatorTimeoutMs,
    );
  }

  async function raiseQuota(
    tenantId: string,
    limit: Limit,
    periodStartMs: number,
    consumed: number,
    {
      leastBaseline = 0,
      timeZone = 'UTC',
      caller,
    }: { leastBaseline?: number; timeZone?: string; caller?: Caller } = {},
  ): Promise<{ before: number; after: number }> {
    // Beyond what its field holds the counter would say anything.
    if (!(Math.abs(consumed) <= quotaUnitsMax)) {
      throw new TollgateError('REDIS_VALUE_REFUSED', `a quota counter cannot hold ${consumed} units`);
    }
    const { before, start, finish } = periodsAround(limit.period ?? 'day', timeZone, periodStartMs);
    const period = [before, start, finish, Math.floor(consumed), Math.floor(leastBaseline)];
    const args = [timeArgument(), nodes.epochMs(), windowOf(limit).field, ...period];
    const { key, owner } = caller === undefined ? subjects.tenant(tenantId) : subjectOf(limit, caller);
    const reply = await replyWithin(
      runScript(redis, raiseScript, owner === null ? [key] : [key, owner.key], args),
      operatorTimeoutMs,
    );
    const [usedBefore = 0, usedAfter = 0] = reply as number[];
    return { before: usedBefore, after: usedAfter };
  }

  function subjectOf(limit: Limit, caller: Caller): Subject {
    return subjects.of(subjectKind(limit, caller.tenantId !== null, caller.userId !== null), caller);
  }

  function timeArgument(): number | '' {
    return redisTime?.now() ?? '';
  }

  /** Before checks go to a server again, it gets what this node admitted without it. */
  async function catchUp(served: (tag: string) => boolean): Promise<void> {
    // The epoch first: what a reset of all cleared meanwhile must not be counted. It may live on a server that is away.
    await replyWithin(nodes.refresh(), backfillTimeoutMs).catch(() => undefined);
    await backfill.run(served, catchUpMsMax);
  }

  /** What was left when checks went to Redis again, and what has left its window. */
  function keepUp(): void {
    ledger.sweep(clock.now());
    void backfillAvailable().catch((error: unknown) =>
      logger.debug({ reason: messageOf(error) }, 'local units wait for Redis'),
    );
  }

  function backfillAvailable(): Promise<void> {
    return backfill.run((tag) => !breakers.of(tag).isOpen(), catchUpMsMax);
  }

  async function close(): Promise<void> {
    clearInterval(upkeep);
    await replyWithin(backfillAvailable(), catchUpMsMax).catch(() => undefined);
    await nodes.close();
    dispatch.close();
    breakers.close();
  }
}

function microsSince(startedAt: number): number {
  return Math.round((performance.now() - startedAt) * 1000);
}
