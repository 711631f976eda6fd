import type { Clock } from '../../runtime/time/clock.ts';
import type { Logger } from '../../runtime/logger.ts';
import { messageOf } from '../../runtime/errors.ts';
import type { Registry } from '../../runtime/http/ops.ts';
import type { PendingCheck } from './batch.ts';
import { isValidRequest, resultOf } from './check.ts';
import type { CheckRequest, CheckResult } from './check.ts';
import { callTimeoutMsDefault, isCluster, replyWithin } from '../client.ts';
import type { RedisClient } from '../client.ts';
import { createBackfill } from '../fallback/backfill.ts';
import { createDispatch } from './dispatch.ts';
import type { DecidedCheck, QueuedCheck } from './dispatch.ts';
import { createLocalLedger } from '../fallback/local-ledger.ts';
import { createLocalLimiter } from '../fallback/local-limiter.ts';
import { createLocalReservations } from '../fallback/local-reservations.ts';
import { createLimiterMetrics } from './metrics.ts';
import { createServerBreakers } from '../fallback/server-breakers.ts';
import type { ServerBreakers } from '../fallback/server-breakers.ts';
import { createLiveNodes } from '../leases/live-nodes.ts';
import { createPeriodCache } from './periods.ts';
import { createQuotaCounters } from './quota-counters.ts';
import type { QuotaCounters } from './quota-counters.ts';
import { createRefunds } from './refund.ts';
import type { Refunds } from './refund.ts';
import { readScript, runScript } from '../scripts.ts';
import { decideInParts, spansSlots } from '../cluster/split.ts';
import { startUnitLeases } from '../unit-leases/unit-leases.ts';
import type { UnitLeases } from '../unit-leases/unit-leases.ts';
import { createSubjects } from './subjects.ts';
import type { Subject, Subjects } from './subjects.ts';
import { limitStates, shapeOf } from './windows.ts';
import type { Shape } from './windows.ts';
import { checkedReservation } from '../reservations/pending-reservation.ts';
import type { Reservations, SettleResult } from '../reservations/reservation.ts';
import { createUsageRecorder } from '../reservations/record-usage.ts';
import type { RecordedRequest } from '../reservations/record-usage.ts';
import { createReservations } from '../reservations/reservations.ts';
import { createReserve } from '../reservations/reserve.ts';
import type { ReservingRequest } from '../reservations/reserve.ts';
import { createRecordSettler } from '../reservations/settle-records.ts';

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
  /** False: checks run as a script also where Redis has functions; absent in production, where Redis's functions are detected. */
  readonly useFunctions?: boolean;
  /** True: the node leases units of large windows for fast callers, so most of their checks need no call (decision 160). */
  readonly leaseUnits?: boolean;
  /** Clock that replaces Redis's clock in tests; absent in production. */
  readonly redisTime?: Clock;
}

export interface Limiter extends Reservations, Pick<Refunds, 'refund' | 'giveBack'>, QuotaCounters {
  /** Decides a request under all of its sliding windows and quotas: charges all of them, or none. The promise never rejects. */
  check(request: CheckRequest): Promise<CheckResult>;
  /** The same as `check`, without a promise. `onResult` is called once, possibly before this returns, and must not throw. */
  checkWith(request: CheckRequest, onResult: (result: CheckResult) => void): void;
  /**
   * Charges amounts that were consumed without a reservation, whether there is room or not, and no units of requests. They are
   * stored as a settled reservation. While Redis is unavailable they wait in memory, as settlements do.
   */
  recordUsage(request: RecordedRequest): Promise<SettleResult>;
  /** Empties all windows of a tenant and its users. Rejects when Redis does not answer. */
  reset(tenantId: string): Promise<void>;
  /** Empties all windows of all tenants. The other nodes have the new epoch within a second. */
  resetAll(): Promise<void>;
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
/** Longest wait for the reply to a backfill batch; after it, the batch is sent again later. */
const backfillTimeoutMs = 250;
/**
 * Longest time that a backfill delays the closing of a circuit breaker; remaining units are counted into Redis in the background.
 */
const catchUpMsMax = 500;
const maintenanceIntervalMs = 1_000;

const resetScript = readScript('clock', 'reset');

export function createLimiter(options: LimiterOptions): Limiter {
  const { redis, keyPrefix, clock, registry, logger, redisTime, node = null, nodesLeast = 1 } = options;
  const [subjects, periods] = [createSubjects(keyPrefix), createPeriodCache()];
  const nodes = createLiveNodes({ redis, keyPrefix, node, nodesLeast, clock, logger });
  const metrics = createLimiterMetrics(registry, () => nodes.count());
  const callTimeoutMs = options.callTimeoutMs ?? callTimeoutMsDefault;
  const onDropped = metrics.backfillDropped;
  const ledger = createLocalLedger({ onDropped });
  const local = createLocalLimiter({ ledger, nodes: () => nodes.count(), periods });
  const shared = { redis, periods, clock, redisTime, metrics, logger, epochMs: () => nodes.epochMs() };
  const offsetMs = () => (redisTime === undefined ? nodes.offsetMs() : redisTime.now() - clock.now());
  const backfillMs = Math.max(callTimeoutMs, backfillTimeoutMs);
  const backfill = createBackfill({ ...shared, ledger, offsetMs, onDropped, timeoutMs: backfillMs });
  const breakers = createServerBreakers({ redis, keyPrefix, callTimeoutMs, catchUp, metrics, logger });
  const localReservations = createLocalReservations({
    ...{ local, ledger, logger },
    send: (record, adoption) => settler.adopt(record, adoption),
  });
  const calls = { ...shared, keyPrefix, localReservations, subjects, local, breakerOf: breakers.of };
  const { refund, giveBack, returnUnits, undoLate } = createRefunds(calls);
  const dispatch = createDispatch({ ...calls, undoLate, useFunctions: options.useFunctions });
  const enqueue = (check: QueuedCheck): void => dispatch.enqueue(check);
  const unitLeases = options.leaseUnits === true ? startUnitLeases({ ...calls, registry, enqueue }) : null;
  const settler = createRecordSettler({ ...calls, registry, timeoutMs: backfillMs });
  const cluster = isCluster(redis);
  const { reserve, partsOf } = createReserve({ ...calls, cluster, decide, returnUnits, settler });
  const reservations = createReservations({ ...calls, settler, offsetMs });
  const nowMs = (): number => clock.now() + offsetMs();
  const maintenance = setInterval(maintain, maintenanceIntervalMs);
  maintenance.unref();

  return {
    check: (request) => new Promise((resolve) => checkWith(request, resolve)),
    checkWith,
    ...reservations,
    recordUsage: createUsageRecorder({ subjects, partsOf, reservations, nowMs }),
    refund,
    giveBack,
    reset,
    resetAll: () => replyWithin(nodes.resetAll(), operatorTimeoutMs),
    ...createQuotaCounters({ ...calls, timeoutMs: operatorTimeoutMs }),
    state: () => ({ nodes: nodes.count(), serversUnavailable: breakers.unavailable() }),
    breakerOf: breakers.of,
    close,
  };

  function checkWith(request: CheckRequest, onResult: (result: CheckResult) => void): void {
    const startedAt = performance.now();
    const { tenantId, userId, limits, calendar } = request;
    const reserves = isReserving(request) && isValidRequest(request);
    const contents = reserves ? 'reserve' : request.withUse === true && request.peek ? 'use' : 'limits';
    const shape = shapeOf(limits, tenantId !== null, userId !== null, calendar ?? 'UTC', contents);
    const [kind] = shape.subjects;
    const subject = kind === undefined ? null : subjects.of(kind, request);
    if (reserves) {
      void checkReserving(request, shape, subjectsOf(subjects, shape, subject, request), startedAt).then(
        onResult,
      );
      return;
    }
    const leases = shape.leaseMs > 0 && !request.peek && isValidRequest(request) ? unitLeases : null;
    if (subject !== null && leases !== null) {
      const states = leases.spend(subject, shape, request.cost);
      if (states !== null) onResult(resultOf(states, true, false, microsSince(startedAt)));
      else sendCheck(request, shape, [subject], startedAt, leases, onResult);
    } else
      sendCheck(request, shape, subjectsOf(subjects, shape, subject, request), startedAt, null, onResult);
  }

  /** Lets Redis decide a check. With `leases`, the units of the next checks may be leased beside it. */
  function sendCheck(
    request: CheckRequest,
    shape: Shape,
    own: readonly Subject[],
    startedAt: number,
    leases: UnitLeases | null,
    onResult: (result: CheckResult) => void,
  ): void {
    const onDecided = ({ states: all, degraded, redisTimeMs }: DecidedCheck): void => {
      const states = shape.isOfLimits ? all : limitStates(shape, all, degraded);
      onResult(resultOf(states, isValidRequest(request), degraded, microsSince(startedAt), redisTimeMs));
    };
    const queued: QueuedCheck = { request, shape, subjects: own, onDecided };
    if (shape.windows.length === 0) onDecided(unlimited);
    else if (cluster && spansSlots(queued)) void decideInParts(queued, decide, returnUnits).then(onDecided);
    else dispatch.enqueue(leases === null ? queued : leases.withRequest(queued));
    unitLeases?.sendRenewals();
  }

  async function checkReserving(
    request: ReservingRequest,
    shape: Shape,
    own: readonly Subject[],
    startedAt: number,
  ): Promise<CheckResult> {
    const { decided, parts } = await reserve(request, shape, own);
    const { states: all, degraded, stored, redisTimeMs } = decided;
    const states = limitStates(shape, all, degraded);
    const result = resultOf(states, true, degraded, microsSince(startedAt), redisTimeMs);
    const isStored = stored !== null || (result.passed && !request.peek);
    if (!isStored) return result;
    const reservation = checkedReservation(request.tenantId, parts, stored, nowMs());
    return { ...result, passed: true, reason: null, reservation };
  }

  function decide(check: PendingCheck): Promise<DecidedCheck> {
    return new Promise((resolve) => dispatch.enqueue({ ...check, onDecided: resolve }));
  }

  async function reset(tenantId: string): Promise<void> {
    const tenant = subjects.tenant(tenantId);
    await replyWithin(
      runScript(redis, resetScript, [tenant.key], [timeArgument(), nodes.epochMs()]),
      operatorTimeoutMs,
    );
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
    await localReservations.adopt(isServed, catchUpMsMax);
  }

  /** Called each second: adds to Redis the units that are only in memory, and drops expired windows. */
  function maintain(): void {
    ledger.sweep(clock.now());
    void backfillAvailable().catch((error: unknown) =>
      logger.debug({ reason: messageOf(error) }, 'units admitted without redis wait to be counted'),
    );
  }

  async function backfillAvailable(): Promise<void> {
    const isServed = (tag: string): boolean => !breakers.of(tag).isOpen();
    await backfill.run(isServed, catchUpMsMax);
    await localReservations.adopt(isServed, catchUpMsMax);
    await settler.repeat(isServed);
  }

  async function close(): Promise<void> {
    clearInterval(maintenance);
    const ended = Promise.all([backfillAvailable(), unitLeases?.close()]);
    await replyWithin(ended, catchUpMsMax).catch(() => undefined);
    await nodes.close();
    dispatch.close();
    breakers.close();
  }
}

/** The subjects of a check, of which `first` is the first. */
function subjectsOf(
  subjects: Subjects,
  { subjects: kinds }: Shape,
  first: Subject | null,
  request: CheckRequest,
): readonly Subject[] {
  if (first === null) return [];
  return kinds.map((kind, index) => (index === 0 ? first : subjects.of(kind, request)));
}

/** The decision on a check without windows. */
const unlimited: DecidedCheck = {
  states: [],
  degraded: false,
  countedAtMs: 0,
  redisTimeMs: 0,
  stored: null,
};

function isReserving(request: CheckRequest): request is ReservingRequest {
  return request.reservation !== undefined;
}

function microsSince(startedAt: number): number {
  return Math.round((performance.now() - startedAt) * 1000);
}
