import type { Logger } from '../../runtime/logger.ts';
import { TollgateError, messageOf } from '../../runtime/errors.ts';

/**
 * Circuit breaker for one Redis server. While it is closed, calls go to the server. The first call that gets no reply in time, or
 * that the server cannot serve, opens it. While it is open, every call fails at once, until a probe succeeds.
 */
export interface CircuitBreaker {
  isOpen(): boolean;
  /**
   * Runs a call. Rejects with REDIS_UNAVAILABLE at once while the breaker is open, and otherwise when the reply takes longer than
   * `waitMsMax` or `callTimeoutMs`, whichever is shorter.
   */
  run<T>(call: () => Promise<T>, waitMsMax?: number): Promise<T>;
  close(): void;
}

export interface CircuitBreakerOptions {
  readonly callTimeoutMs: number;
  /** Sends a small write, which succeeds only if the server could also serve checks. */
  readonly probe: () => Promise<unknown>;
  /** Drops connections that may be dead. Called once a second while the server does not answer. */
  readonly reconnect: () => void;
  /**
   * Called when a probe has succeeded, before the breaker closes. If it rejects, the breaker stays open and the server is probed
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
/** If a timer runs this late, this process was blocked and not Redis: replies may have arrived in the socket and be unread. */
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

  /** Sets the timer. One timer serves all calls in flight: it is set for the call with the earliest deadline. */
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
    // One more wait is enough: Node reads the replies in the socket before the next timer runs, however late.
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
      // A server that replies with one of these errors needs no new connection. Any other error may come from a former primary,
      // and a new connection then reaches its successor.
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

/** Runs the call, so that an exception that it throws before sending becomes a rejection. */
async function attempt<T>(call: () => Promise<T>): Promise<T> {
  return await call();
}

function unavailable(reason: string, cause?: unknown): TollgateError {
  return new TollgateError('REDIS_UNAVAILABLE', `Redis did not decide: ${reason}`, { cause });
}

/**
 * Returns whether an error opens the breaker. An error that a script raised does not open it: otherwise one key of a wrong type
 * would cause the requests of all tenants to be decided locally. Any other error opens it (no connection, OOM, READONLY, LOADING,
 * CLUSTERDOWN, …).
 */
export function meansUnavailable(error: unknown): boolean {
  return !/^(ERR|WRONGTYPE|decide\.lua)/.test(messageOf(error));
}

/** The error of a call that a circuit breaker or a time limit has wrapped. */
export function causeOf(error: unknown): unknown {
  return error instanceof Error && error.cause !== undefined ? error.cause : error;
}
