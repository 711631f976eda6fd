import type { LimitState } from '../../domain/limit.ts';
import type { Clock } from '../../runtime/time/clock.ts';
import type { Logger } from '../../runtime/logger.ts';
import { messageOf } from '../../runtime/errors.ts';
import { decodeBatch, encodeBatch } from './batch.ts';
import type { DecodedBatch, PendingCheck } from './batch.ts';
import { isCluster } from '../client.ts';
import type { RedisClient } from '../client.ts';
import type { CircuitBreaker } from '../fallback/circuit-breaker.ts';
import type { LocalLimiter } from '../fallback/local-limiter.ts';
import type { ServerBreakers } from '../fallback/server-breakers.ts';
import type { LimiterMetrics } from './metrics.ts';
import type { PeriodCache } from './periods.ts';
import { keepLoaded, readScript, runScriptForBytes } from '../scripts.ts';

/** States of one check's windows, and the stamp under which its units were counted (0 when decided locally). */
export interface Answer {
  readonly states: LimitState[];
  readonly degraded: boolean;
  readonly stampMs: number;
}

/** A check whose subjects share a slot, and where its answer goes. */
export interface Queued extends PendingCheck {
  /** Must not throw: those of the same call are answered one after the other. */
  readonly answer: (answer: Answer) => void;
}

export interface Dispatch {
  /** Sends the check with everything else that is queued in this turn of the event loop. */
  enqueue(check: Queued): void;
  close(): void;
}

export interface DispatchOptions {
  readonly redis: RedisClient;
  readonly breakerOf: ServerBreakers['of'];
  /** Decides while a server is away. */
  readonly local: LocalLimiter;
  readonly periods: PeriodCache;
  readonly clock: Clock;
  readonly redisTime: Clock | undefined;
  readonly epochMs: () => number;
  readonly metrics: LimiterMetrics;
  readonly logger: Logger;
}

/**
 * A call decides at most this many checks, and leaves as soon as it is full: Redis then works on it while this process
 * still reads the next requests. With larger batches the two wait for each other in turns; with smaller ones each check
 * pays more of a call.
 */
const batchChecksMax = 16;

/** Corrections with less than this between them belong to one fault. */
const correctedSilenceMs = 600_000;

const decideScript = readScript('clock', 'sliding', 'quota', 'decide');

export function createDispatch(options: DispatchOptions): Dispatch {
  const { redis, breakerOf, local, clock, redisTime, metrics, logger } = options;
  const cluster = isCluster(redis);
  const stopLoading = keepLoaded(redis, decideScript);
  let queue: Queued[] = [];
  let correctedAt = -Infinity;

  return {
    close: stopLoading,
    enqueue: (check) => {
      queue.push(check);
      // The poll phase hands over everything that has arrived; this runs right after it. No timer is involved.
      if (queue.length >= batchChecksMax) flush();
      else if (queue.length === 1) setImmediate(flush);
    },
  };

  function flush(): void {
    const checks = queue;
    queue = [];
    if (checks.length === 0) return;
    if (!cluster) {
      sendAll(checks);
      return;
    }
    for (const [, group] of Map.groupBy(checks, ({ subjects }) => subjects[0]?.tag ?? '')) sendAll(group);
  }

  function sendAll(checks: Queued[]): void {
    void send(breakerOf(checks[0]?.subjects[0]?.tag ?? '{}'), checks);
  }

  async function send(breaker: CircuitBreaker, checks: readonly Queued[]): Promise<void> {
    const startedAt = performance.now();
    let decoded: DecodedBatch;
    try {
      const reply = await breaker.run(() => {
        const { keys, args } = encodeBatch(checks, {
          timeMs: redisTime?.now() ?? '',
          epochMs: options.epochMs(),
          nowMs: clock.now(),
          periods: options.periods,
        });
        return runScriptForBytes(redis, decideScript, keys, args);
      }, waitMsMaxOf(checks));
      decoded = decodeBatch(reply, checks);
    } catch (error) {
      logger.debug({ reason: messageOf(error) }, 'deciding locally');
      metrics.degraded(checks.length);
      for (const check of checks) {
        check.answer({ states: local.decide(check, clock.now()), degraded: true, stampMs: 0 });
      }
      return;
    }
    metrics.batch(checks.length, (performance.now() - startedAt) / 1000);
    const { stampMs, states, correctedWindows } = decoded;
    if (correctedWindows > 0) reportCorrected(correctedWindows);
    for (let index = 0; index < checks.length; index += 1) {
      const check = checks[index];
      if (check === undefined) continue;
      const own = states[index] ?? [];
      remember(check, own);
      check.answer({ states: own, degraded: false, stampMs });
    }
  }

  /** Each window is corrected when it is next used: one line for all windows of one fault. */
  function reportCorrected(windows: number): void {
    metrics.stampsCorrected(windows);
    const now = performance.now();
    const isNew = now - correctedAt > correctedSilenceMs;
    correctedAt = now;
    if (!isNew) return;
    logger.error(
      'windows in Redis have stamps ahead of the clock of Redis, which was ahead or was set back: the stamps are moved to now',
    );
  }
}

/** The shortest wait of a batch; undefined where no check names one. */
function waitMsMaxOf(checks: readonly Queued[]): number | undefined {
  let shortest: number | undefined;
  for (const { request } of checks) {
    const { waitMsMax } = request;
    if (waitMsMax !== undefined && (shortest === undefined || waitMsMax < shortest)) shortest = waitMsMax;
  }
  return shortest;
}

/** What the local limiter starts from if Redis is lost next. */
function remember({ shape, subjects }: PendingCheck, states: readonly LimitState[]): void {
  for (let index = 0; index < states.length; index += 1) {
    const state = states[index];
    const window = shape.windows[index];
    const subject = subjects[shape.subjectOf[index] ?? 0];
    if (state === undefined || window === undefined || subject === undefined) continue;
    const used = window.units - state.remaining;
    const seen = subject.seen.get(window.field);
    if (seen === undefined) {
      subject.seen.set(window.field, { used, resetAtMs: state.resetAtMs });
    } else {
      seen.used = used;
      seen.resetAtMs = state.resetAtMs;
    }
  }
}
