import type { Logger } from '../../runtime/logger.ts';
import { TollgateError, messageOf } from '../../runtime/errors.ts';

/**
 * Stands before one Redis server. Lets calls through while it answers in time; from the first call that does not, or
 * that the server cannot serve, every call fails at once until a probe succeeds again.
 */
export interface CircuitBreaker {
  isOpen(): boolean;
  /**
   * Rejects with REDIS_UNAVAILABLE at once while closed to calls, and at the latest after `waitMsMax`, which is
   * `callTimeoutMs` where it is absent or longer.
   */
  run<T>(call: () => Promise<T>, waitMsMax?: number): Promise<T>;
  close(): void;
}

export interface CircuitBreakerOptions {
  readonly callTimeoutMs: number;
  /** A small write; succeeds only where checks would. */
  readonly probe: () => Promise<unknown>;
  /** Drops connections that may be dead; called again and again while nothing answers. */
  readonly reconnect: () => void;
  /**
   * Runs when the server answers again, before calls go there. What it cannot do leaves the breaker as it is, to be probed
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
/** A connection that has been tried for this long without an answer is dropped and made anew. */
const reconnectIntervalMs = 1000;
/** A timer this late says that this process stood still, not Redis: answers may lie in the socket unread. */
const stallMs = 5;

export function createCircuitBreaker(options: CircuitBreakerOptions): CircuitBreaker {
  const { callTimeoutMs, onChange, logger } = options;
  const inFlight = new Set<InFlight>();
  let available = true;
  let closed = false;
  let timer: NodeJS.Timeout | null = null;
  let timerDueAt = Infinity;
  let waitsAgain = false;
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
          if (meansUnavailable(error)) trip(messageOf(error));
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
    // Once: what lay in the socket is read before the next timer, however late that one is.
    waitsAgain = isDue && lateMs > stallMs && !waitsAgain;
    if (!isDue) expireAt(first.dueAt);
    else if (waitsAgain) expireAt(performance.now() + 1);
    else trip(`no answer within ${first.waitMs} ms`);
  }

  function trip(reason: string): void {
    if (!available || closed) return;
    available = false;
    reconnectedAt = performance.now();
    onChange(false, reason);
    logger.warn({ reason }, 'redis is unavailable: deciding locally');
    failAll(reason);
    probeTimer = setTimeout(probe, probeIntervalMs);
  }

  function failAll(reason: string): void {
    for (const { fail } of inFlight) fail(unavailable(reason));
    inFlight.clear();
  }

  function probe(): void {
    const startedAt = performance.now();
    let settled = false;
    const settle = (outcome: 'answered' | 'refused' | 'silent'): void => {
      if (settled || closed) return;
      settled = true;
      if (outcome === 'answered' && performance.now() - startedAt <= callTimeoutMs + stallMs) {
        options.catchUp().then(resume, again);
        return;
      }
      if (outcome === 'silent' && performance.now() - reconnectedAt >= reconnectIntervalMs) {
        reconnectedAt = performance.now();
        options.reconnect();
      }
      again();
    };
    setTimeout(settle, callTimeoutMs * 2, 'silent');
    options.probe().then(
      () => settle('answered'),
      // A server that says why it cannot serve is reached well; one that was demoted may have a successor by now.
      (error: unknown) => settle(/^(OOM|LOADING|MISCONF|BUSY)/.test(messageOf(error)) ? 'refused' : 'silent'),
    );
  }

  function again(): void {
    if (!closed) probeTimer = setTimeout(probe, probeIntervalMs);
  }

  function resume(): void {
    if (closed) return;
    available = true;
    onChange(true, '');
    logger.info('redis answers again');
  }

  function close(): void {
    closed = true;
    if (timer !== null) clearTimeout(timer);
    if (probeTimer !== null) clearTimeout(probeTimer);
    failAll('closing');
  }
}

/** A call that throws before it is sent fails like any other. */
async function attempt<T>(call: () => Promise<T>): Promise<T> {
  return await call();
}

function unavailable(reason: string, cause?: unknown): TollgateError {
  return new TollgateError('REDIS_UNAVAILABLE', `Redis did not decide: ${reason}`, { cause });
}

/**
 * An error that the script itself raised says nothing about the server: one broken key must not send every tenant to
 * the local limiter. Everything else (no connection, OOM, READONLY, LOADING, CLUSTERDOWN, …) does.
 */
export function meansUnavailable(error: unknown): boolean {
  return !/^(ERR|WRONGTYPE|decide\.lua)/.test(messageOf(error));
}
