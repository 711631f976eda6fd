import type { Logger } from '../../runtime/logger.ts';
import { TollgateError, messageOf } from '../../runtime/errors.ts';

/**
 * Circuit breaker for one Redis server. While it is closed, calls go to the server. The first late call, or the first call
 * that the server cannot serve, opens it: every call then fails at once until a probe succeeds.
 */
export interface CircuitBreaker {
  isOpen(): boolean;
  /**
   * Rejects with REDIS_UNAVAILABLE at once while the breaker is open, and otherwise after `waitMsMax`, which is `callTimeoutMs`
   * where it is absent or longer.
   */
  run<T>(call: () => Promise<T>, waitMsMax?: number): Promise<T>;
  close(): void;
}

export interface CircuitBreakerOptions {
  readonly callTimeoutMs: number;
  /** A small write: it succeeds only if checks would. */
  readonly probe: () => Promise<unknown>;
  /** Drops connections that may be dead. Called once a second while the server does not answer. */
  readonly reconnect: () => void;
  /**
   * Runs when the server answers again, before the breaker closes. If it rejects, the breaker stays open and is probed
   * again.
   */
  readonly catchUp: () => Promise<void>;
  readonly onChange: (available: boolean, reason: string) => void;
  readonly logger: Logger;
}

interface InFlight {
  readonly dueAt: number;
  readonly waitMs: number;
  readonly fail: (error: Error) => void;
}

const probeIntervalMs = 100;
/** A connection without a reply for this long is dropped and opened again. */
const reconnectIntervalMs = 1000;
/** A timer this late means that this process was blocked, not Redis: replies may be in the socket unread. */
const stallMs = 5;

export function createCircuitBreaker(options: CircuitBreakerOptions): CircuitBreaker {
  const { callTimeoutMs, onChange, logger } = options;
  const inFlight = new Set<InFlight>();
  let available = true;
  let closed = false;
  let timer: NodeJS.Timeout | null = null;
  let timerDueAt = Infinity;
  let waitsOnceMore = false;
  let probeTimer: NodeJS.Timeout | null = null;
  let reconnectedAt = 0;
  return { isOpen: () => !available, run, close };

  function run<T>(call: () => Promise<T>, waitMsMax = callTimeoutMs): Promise<T> {
    if (!available || closed) return Promise.reject(unavailable('waiting for Redis'));
    return new Promise<T>((resolve, reject) => {
      const waitMs = Math.min(waitMsMax, callTimeoutMs);
      const dueAt = performance.now() + waitMs;
      const entry: InFlight = { dueAt, waitMs, fail: reject };
      inFlight.add(entry);
      if (timer === null || dueAt < timerDueAt) expireAt(dueAt);
      attempt(call).then(
        (value) => {
          inFlight.delete(entry);
          resolve(value);
        },
        (error: unknown) => {
          inFlight.delete(entry);
          reject(unavailable(messageOf(error), error));
          if (meansUnavailable(error)) open(messageOf(error));
        },
      );
    });
  }

  /** One timer for all calls, set for the one that is due first. */
  function expireAt(dueAt: number): void {
    if (timer !== null) clearTimeout(timer);
    timerDueAt = dueAt;
    timer = setTimeout(expire, Math.max(1, Math.ceil(dueAt - performance.now())));
  }

  function expire(): void {
    timer = null;
    const lateMs = performance.now() - timerDueAt;
    let first: InFlight | null = null;
    for (const entry of inFlight) if (first === null || entry.dueAt < first.dueAt) first = entry;
    if (first === null) return;
    const isDue = first.dueAt <= performance.now();
    // Only once: replies in the socket are read before the next timer, however late that timer is.
    waitsOnceMore = isDue && lateMs > stallMs && !waitsOnceMore;
    if (!isDue) expireAt(first.dueAt);
    else if (waitsOnceMore) expireAt(performance.now() + 1);
    else open(`no answer within ${first.waitMs} ms`);
  }

  function open(reason: string): void {
    if (!available || closed) return;
    available = false;
    reconnectedAt = performance.now();
    onChange(false, reason);
    logger.warn({ reason }, 'redis is unavailable: requests are decided locally');
    failAll(reason);
    probeTimer = setTimeout(probe, probeIntervalMs);
  }

  function failAll(reason: string): void {
    for (const { fail } of inFlight) fail(unavailable(reason));
    inFlight.clear();
  }

  function probe(): void {
    const startedAt = performance.now();
    let isOver = false;
    const finish = (outcome: 'answered' | 'refused' | 'silent'): void => {
      if (isOver || closed) return;
      isOver = true;
      if (outcome === 'answered' && performance.now() - startedAt <= callTimeoutMs + stallMs) {
        options.catchUp().then(closeAgain, probeLater);
        return;
      }
      if (outcome === 'silent' && performance.now() - reconnectedAt >= reconnectIntervalMs) {
        reconnectedAt = performance.now();
        options.reconnect();
      }
      probeLater();
    };
    setTimeout(finish, callTimeoutMs * 2, 'silent');
    options.probe().then(
      () => finish('answered'),
      // A server that names why it cannot serve needs no new connection. A demoted one does: it may have a successor.
      (error: unknown) => finish(/^(OOM|LOADING|MISCONF|BUSY)/.test(messageOf(error)) ? 'refused' : 'silent'),
    );
  }

  function probeLater(): void {
    if (!closed) probeTimer = setTimeout(probe, probeIntervalMs);
  }

  function closeAgain(): void {
    if (closed) return;
    available = true;
    onChange(true, '');
    logger.info('redis answers again: requests are decided there');
  }

  function close(): void {
    closed = true;
    if (timer !== null) clearTimeout(timer);
    if (probeTimer !== null) clearTimeout(probeTimer);
    failAll('closing');
  }
}

/** Makes a call that throws before it is sent reject like any other. */
async function attempt<T>(call: () => Promise<T>): Promise<T> {
  return await call();
}

function unavailable(reason: string, cause?: unknown): TollgateError {
  return new TollgateError('REDIS_UNAVAILABLE', `Redis did not decide: ${reason}`, { cause });
}

/**
 * Whether an error opens the breaker. An error that the script itself raised does not: one broken key must not have the
 * requests of every tenant decided locally. All others do (no connection, OOM, READONLY, LOADING, CLUSTERDOWN, …).
 */
export function meansUnavailable(error: unknown): boolean {
  return !/^(ERR|WRONGTYPE|decide\.lua)/.test(messageOf(error));
}
