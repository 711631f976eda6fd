import { call, errorOf } from '../call.ts';
import type { Answer, Connection } from '../call.ts';
import type { TollgateError } from '../errors.ts';

export interface RepeatOptions {
  readonly method: string;
  readonly path: string;
  readonly body: object;
  /** Longest wait for the answer to one attempt. */
  readonly timeoutMs: number;
  /** No further attempt begins after this time. */
  readonly totalMs: number;
  /** Statuses, beside those of `isTemporary`, after which the request is sent again. */
  readonly repeated?: readonly number[];
}

const pauseMs = { first: 50, max: 10_000 };

/**
 * Sends a request that may be repeated until it gets an answer that another attempt would not change. Pauses between attempts
 * grow and are random. Rejects with a TollgateError if no attempt succeeded in time.
 */
export async function repeatCall(connection: Connection, options: RepeatOptions): Promise<Answer> {
  const { method, path, body, timeoutMs, totalMs, repeated = [] } = options;
  const deadline = performance.now() + totalMs;
  for (let attempt = 0; ; attempt += 1) {
    let error: TollgateError;
    try {
      const answer = await call(connection, method, path, { body: JSON.stringify(body), timeoutMs });
      if (answer.status < 300) return answer;
      error = errorOf(answer);
    } catch (cause) {
      error = cause as TollgateError;
    }
    const { status, retryAfterSeconds } = error;
    if (!isTemporary(status) && !repeated.includes(status ?? 0)) throw error;
    const backoffMs = Math.min(pauseMs.max, pauseMs.first * 2 ** Math.min(attempt, 20));
    const waitMs = Math.max(backoffMs * (0.5 + Math.random() / 2), (retryAfterSeconds ?? 0) * 1_000);
    if (performance.now() + waitMs >= deadline) throw error;
    await new Promise((resolve) => void setTimeout(resolve, waitMs));
  }
}

/** True if the same request may get another answer later: no answer, too many requests, or a fault of the server. */
export function isTemporary(status: number | null): boolean {
  return status === null || status === 429 || status >= 500;
}
