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
import type { DecidedCheck, QueuedCheck } from './dispatch.ts';
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
   * Name of this gateway node, unique per process. Absent in processes that grant no requests (the console, the reconciler): they
   * do not count as a node, and only read and send the global epoch.
   */
  readonly node?: string;
  /**
   * Least number of nodes by which limits are divided; at least 1. Until Redis has replied for the first time, limits
   * are divided by exactly this number.
   */
  readonly nodesLeast?: number;
  /** Longest wait for Redis's reply: after it, the checks of the call are decided locally, and the circuit breaker opens. */
  readonly callTimeoutMs?: number;
  /** Clock that replaces Redis's clock in tests; absent in production. */
  readonly redisTime?: Clock;
}

export interface Limiter {
  /** Decides a request under all of its sliding windows and quotas: charges all of them, or none. The promise never rejects. */
  check(request: CheckRequest): Promise<CheckResult>;
  /** The same as `check`, without a promise. `onResult` is called once, possibly before this returns, and must not throw. */
  checkWith(request: CheckRequest, onResult: (result: CheckResult) => void): void;
  /**
   * Returns units to the windows that a check of this request charges, oldest units first; `peek` is ignored. `metered` is true
   * when events with these units were written, so that ClickHouse's totals include them. Resolves with the largest number of
   * units returned to one window, or with the whole cost if the request has no window. If Redis does not reply, no unit is
   * returned, so the windows are too strict but no limit is exceeded. Never rejects.
   */
  refund(request: CheckRequest, metered: boolean): Promise<number>;
  /** Empties all windows of a tenant and its users. Rejects when Redis does not answer. */
  reset(tenantId: string): Promise<void>;
  /** Empties all windows of all tenants. The other nodes have the new epoch within a second. */
  resetAll(): Promise<void>;
  /**
   * Sets `used = max(used, consumed - baseline)` in a quota counter. The counter is the tenant's own, or with `caller` the
   * counter that a check of this caller reads. The baseline is the usage before the last reset, and at least `leastBaseline`.
   * Rejects with REDIS_VALUE_REFUSED and changes nothing if `consumed` is too large for a counter.
   */
  raiseQuota(
    tenantId: string,
    limit: Limit,
    periodStartMs: number,
    consumed: number,
    options?: { leastBaseline?: number; timeZone?: string; caller?: Caller },
  ): Promise<{ before: number; after: number }>;
  /** Number of nodes that share the limits, and number of Redis servers whose circuit breaker is open. */
  state(): { readonly nodes: number; readonly serversUnavailable: number };
  /**
   * Returns the circuit breaker of the Redis server that holds the keys of a hash tag, for other calls that must not wait for the
   * server.
   */
  readonly breakerOf: ServerBreakers['of'];
  close(): Promise<void>;
}

/**
 * Longest time that a call by an operator (a reset, a restoration) waits for Redis. These calls wait longer than checks
 * and bypass the circuit breaker, because they are few and cannot be decided locally.
 */
const operatorTimeoutMs = 2000;
/** Maximum number of units that a quota can store: `scripts/quota.lua` packs them into six bytes. */
const quotaUnitsMax = 2 ** 48 - 1;

/** Longest wait for the reply to a backfill batch; after it, the batch is sent again later. */
const backfillTimeoutMs = 250;
/**
 * Longest time that a backfill delays the closing of a circuit breaker; remaining units are counted into Redis in the background.
 */
const catchUpMsMax = 500;
const maintenanceIntervalMs = 1_000;

const resetScript = readScript('clock', 'reset');
const raiseScript = readScript('clock', 'quota', 'raised', 'raise-quota');
const returnScript = readScript('clock', 'sliding', 'quota', 'return-units');
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
  const maintenance = setInterval(maintain, maintenanceIntervalMs);
  maintenance.unref();
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

  function checkWith(request: CheckRequest, onResult: (result: CheckResult) => void): void {
    const startedAt = performance.now();
    const { tenantId, userId, limits, timeZone = 'UTC' } = request;
    const shape = shapeOf(limits, tenantId !== null, userId !== null, timeZone);
    const own = shape.subjects.map((kind) => subjects.of(kind, request));
    const onDecided = ({ states, degraded }: DecidedCheck): void =>
      onResult(resultOf(states, isCost(request.cost), degraded, microsSince(startedAt)));
    const queued: QueuedCheck = { request, shape, subjects: own, onDecided };
    if (shape.windows.length === 0) onDecided({ states: [], degraded: false, countedAtMs: 0 });
    else if (cluster && spansSlots(queued))
      void decideInParts(queued, decidePart, returnUnits).then(onDecided);
    else dispatch.enqueue(queued);
  }

  function decidePart(part: PendingCheck): Promise<DecidedCheck> {
    return new Promise((resolve) => dispatch.enqueue({ ...part, onDecided: resolve }));
  }

  function returnUnits(
    { request, shape, subjects: own }: PendingCheck,
    { states, countedAtMs, degraded }: DecidedCheck,
  ): void {
    if (countedAtMs === 0) {
      if (degraded) local.returnUnits({ request, shape, subjects: own }, states, clock.now());
      return;
    }
    const charged = shape.windows
      .map((_, index) => index)
      .filter((index) => states[index]?.violated === false);
    const keys = charged.map((index) => own[shape.subjectOf[index] ?? 0]?.key ?? '');
    const fields = charged.flatMap((index) => {
      const window = shape.windows[index];
      return window === undefined ? [] : [window.field, window.period === null ? 0 : 1];
    });
    const args = [timeArgument(), nodes.epochMs(), countedAtMs, request.cost, ...fields];
    breakers
      .of(own[0]?.tag ?? '{}')
      .run(() => runScript(redis, returnScript, keys, args))
      .catch((error: unknown) =>
        logger.debug({ reason: messageOf(error) }, 'units of a refused check could not be returned'),
      );
  }

  /**
   * Sends one call for each subject, because subjects may be in different slots. A failure of one call does not affect the
   * others.
   */
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
            logger.warn({ reason: messageOf(error) }, 'units could not be returned');
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
    // A larger number would not fit into the bytes of the field.
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

  /** Before checks are sent to a server again, adds to it the units that were admitted while it was unavailable. */
  async function catchUp(isServed: (tag: string) => boolean): Promise<void> {
    // Reads the global epoch first, because units from before a global reset must not be counted. The read may fail, because the
    // epoch's server may be unavailable.
    await replyWithin(nodes.refresh(), backfillTimeoutMs).catch(() => undefined);
    await backfill.run(isServed, catchUpMsMax);
  }

  /** Called each second: adds to Redis the units that are only in memory, and drops expired windows. */
  function maintain(): void {
    ledger.sweep(clock.now());
    void backfillAvailable().catch((error: unknown) =>
      logger.debug({ reason: messageOf(error) }, 'units admitted without redis wait to be counted'),
    );
  }

  function backfillAvailable(): Promise<void> {
    return backfill.run((tag) => !breakers.of(tag).isOpen(), catchUpMsMax);
  }

  async function close(): Promise<void> {
    clearInterval(maintenance);
    await replyWithin(backfillAvailable(), catchUpMsMax).catch(() => undefined);
    await nodes.close();
    dispatch.close();
    breakers.close();
  }
}

function microsSince(startedAt: number): number {
  return Math.round((performance.now() - startedAt) * 1000);
}
