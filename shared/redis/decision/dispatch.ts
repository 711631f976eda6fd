import type { LimitState } from '../../domain/limit.ts';
import type { Clock } from '../../runtime/time/clock.ts';
import type { Logger } from '../../runtime/logger.ts';
import { messageOf } from '../../runtime/errors.ts';
import { decodeBatch, encodeBatch, tagOf } from './batch.ts';
import type { DecodedBatch, PendingCheck } from './batch.ts';
import { isCluster } from '../client.ts';
import { createIterationQueue } from '../iteration-queue.ts';
import type { RedisClient } from '../client.ts';
import type { LocalLimiter } from '../fallback/local-limiter.ts';
import type { LocalReservations } from '../fallback/local-reservations.ts';
import type { ServerBreakers } from '../fallback/server-breakers.ts';
import type { LimiterMetrics } from './metrics.ts';
import { admits, isValidRequest } from './check.ts';
import type { PeriodCache } from './periods.ts';
import type { StoredReservation } from '../reservations/pending-reservation.ts';
import type { LeaseGrant } from '../unit-leases/unit-lease.ts';
import { usageOf } from './subjects.ts';
import { createScriptLibrary, readLibrary } from '../script-library.ts';

/** The decision on one check. */
export interface DecidedCheck {
  readonly states: LimitState[];
  readonly degraded: boolean;
  /** Timestamp with which Redis stored the units of the check, Unix milliseconds; 0 when the check was decided locally. */
  readonly countedAtMs: number;
  /** Time of Redis in Unix milliseconds, with microseconds as a fraction; 0 when the check was decided locally. */
  readonly redisTimeMs: number;
  /** What Redis had stored for the check's reservation before; null if nothing was. Such a check charges nothing. */
  readonly stored: StoredReservation | null;
  /** The lease that Redis granted beside the check; absent if none was requested. */
  readonly lease?: LeaseGrant | null;
}

/** A check to send, whose subjects are all in one slot. */
export interface QueuedCheck extends PendingCheck {
  /** Must not throw, because the next checks of the same call would not get their decisions. */
  readonly onDecided: (decided: DecidedCheck) => void;
  /** For a check for which no request waits: called instead of a local decision if Redis does not decide. */
  readonly onUndecided?: () => void;
}

export interface Dispatch {
  /** Sends the check together with all other checks that are queued in this event-loop iteration. */
  enqueue(check: QueuedCheck): void;
  close(): void;
}

export interface DispatchOptions {
  readonly redis: RedisClient;
  readonly breakerOf: ServerBreakers['of'];
  /** Decides the checks of a server that is unavailable. */
  readonly local: LocalLimiter;
  /** Returns what Redis charged for a check that was decided locally meanwhile. */
  readonly undoLate: (check: PendingCheck, decided: DecidedCheck) => Promise<void>;
  /** Decides the checks with a reservation of a server that is unavailable. */
  readonly localReservations: Pick<LocalReservations, 'reserve'>;
  readonly periods: PeriodCache;
  readonly clock: Clock;
  readonly redisTime: Clock | undefined;
  readonly epochMs: () => number;
  /** False: checks run as a script also where Redis has functions; in tests only. */
  readonly useFunctions?: boolean | undefined;
  readonly metrics: LimiterMetrics;
  readonly logger: Logger;
}

/**
 * Maximum number of checks in one call. A full call is sent at once, so that Redis decides while this process reads the
 * next requests. With larger batches, Redis and this process would wait for each other more often; with smaller
 * batches, fewer checks would share the cost of a call.
 */
const batchChecksMax = 16;

/**
 * Corrections of timestamps that follow each other within this time have the same cause, one wrong clock, and are logged once.
 */
const correctedSilenceMs = 600_000;

const parts = ['clock', 'sliding', 'quota', 'windows', 'reserve', 'lease', 'simple', 'decide'];
const library = readLibrary('decide', ...parts);

export function createDispatch(options: DispatchOptions): Dispatch {
  const { redis, breakerOf, local, clock, redisTime, metrics, logger } = options;
  const cluster = isCluster(redis);
  const script = createScriptLibrary({ redis, library, useFunctions: options.useFunctions ?? true, logger });
  const queue = createIterationQueue<QueuedCheck>(batchChecksMax, flush);
  let correctedAt = -Infinity;

  return {
    close: () => script.close(),
    enqueue: (check) => queue.add(check),
  };

  function flush(checks: QueuedCheck[]): void {
    if (!cluster) {
      sendAll(checks);
      return;
    }
    for (const [, group] of Map.groupBy(checks, tagOf)) sendAll(group);
  }

  function sendAll(checks: QueuedCheck[]): void {
    const first = checks[0];
    if (first !== undefined) void send(tagOf(first), checks);
  }

  async function send(tag: string, checks: readonly QueuedCheck[]): Promise<void> {
    const startedAt = performance.now();
    let decoded: DecodedBatch;
    let call = null as Promise<unknown> | null;
    try {
      const reply = await breakerOf(tag).run(() => {
        const { keys, args } = encodeBatch(checks, {
          timeMs: redisTime?.now() ?? '',
          epochMs: options.epochMs(),
          nowMs: clock.now(),
          periods: options.periods,
        });
        return (call = script.run(tag, keys, args));
      }, waitMsMaxOf(checks));
      decoded = decodeBatch(reply, checks);
    } catch (error) {
      logger.debug({ reason: messageOf(error) }, 'checks are decided locally');
      checks.forEach(decideLocally);
      if (call !== null) void undoLateReply(call, checks);
      return;
    }
    metrics.batch(checks.length, (performance.now() - startedAt) / 1000);
    const { correctedWindows } = decoded;
    if (correctedWindows > 0) reportCorrected(correctedWindows);
    for (let index = 0; index < checks.length; index += 1) {
      const check = checks[index];
      if (check === undefined) continue;
      const decided = decidedOf(decoded, index);
      storeUsage(check, decided.states);
      check.onDecided(decided);
    }
  }

  /**
   * Waits for the reply to checks that were decided locally meanwhile, and returns what Redis has charged for them: the backfill
   * counts the local decisions. Reservations stay as they are, because Redis recognises them by their id. If no reply arrives, the
   * units stay charged.
   */
  async function undoLateReply(call: Promise<unknown>, checks: readonly QueuedCheck[]): Promise<void> {
    try {
      const decoded = decodeBatch(await call, checks);
      for (const [index, check] of checks.entries()) {
        const decided = decidedOf(decoded, index);
        if (isCharged(check, decided)) await options.undoLate(check, decided);
      }
    } catch (error) {
      logger.debug({ reason: messageOf(error) }, 'a call to redis has no reply');
    }
  }

  function decideLocally(check: QueuedCheck): void {
    if (check.onUndecided !== undefined) {
      check.onUndecided();
      return;
    }
    metrics.degraded(1);
    check.onDecided({ ...localDecision(check), degraded: true, countedAtMs: 0, redisTimeMs: 0 });
  }

  function localDecision(check: QueuedCheck): Pick<DecidedCheck, 'states' | 'stored'> {
    const { request, reservation } = check;
    if (request.redisOnly === true) {
      const peek = { ...check, request: { ...request, peek: true } };
      return { states: local.decide(peek, clock.now()), stored: null };
    }
    if (reservation !== undefined) {
      return options.localReservations.reserve({ ...check, reservation }, clock.now());
    }
    return { states: local.decide(check, clock.now()), stored: null };
  }

  /**
   * Reports windows with corrected timestamps. Each window is corrected at its next use, so a wrong clock causes many
   * corrections: they are logged once.
   */
  function reportCorrected(windows: number): void {
    metrics.timestampsCorrected(windows);
    const now = performance.now();
    const isNew = now - correctedAt > correctedSilenceMs;
    correctedAt = now;
    if (!isNew) return;
    logger.error(
      'windows in Redis have timestamps ahead of the clock of Redis, which was ahead or was set back: they are moved to now',
    );
  }
}

function decidedOf(
  { states, countedAtMs, redisTimeMs, stored, grants }: DecodedBatch,
  index: number,
): DecidedCheck {
  return {
    states: states[index] ?? [],
    degraded: false,
    countedAtMs,
    redisTimeMs,
    stored: stored[index] ?? null,
    lease: grants[index] ?? null,
  };
}

/** Returns whether Redis charged a check or a lease, for which no reservation in Redis accounts. */
function isCharged({ request, reservation }: QueuedCheck, { states, lease }: DecidedCheck): boolean {
  if (lease !== null && lease !== undefined && lease.units > 0) return true;
  const isPassed = admits(states);
  return isPassed && isValidRequest(request) && !request.peek && reservation === undefined;
}

/** Returns the shortest `waitMsMax` of the checks; undefined if no check has one. */
function waitMsMaxOf(checks: readonly QueuedCheck[]): number | undefined {
  let shortest: number | undefined;
  for (const { request } of checks) {
    const { waitMsMax } = request;
    if (waitMsMax !== undefined && (shortest === undefined || waitMsMax < shortest)) shortest = waitMsMax;
  }
  return shortest;
}

/** Stores the usage in Redis's reply, from which the local limiter starts if Redis becomes unavailable. */
function storeUsage({ shape, subjects }: PendingCheck, states: readonly LimitState[]): void {
  for (let index = 0; index < states.length; index += 1) {
    const state = states[index];
    const window = shape.windows[index];
    const subject = subjects[shape.subjectOf[index] ?? 0];
    if (state === undefined || window === undefined || subject === undefined) continue;
    const carried = shape.windows[index - 1]?.counts === 'carried' ? (states[index - 1]?.remaining ?? 0) : 0;
    const used = window.units + carried - state.remaining;
    if (subject.usageShape !== shape) {
      subject.usageShape = shape;
      subject.usages = [];
    }
    const usage = (subject.usages[index] ??= usageOf(subject, window.field));
    usage.used = used;
    usage.resetAtMs = state.resetAtMs;
  }
}
