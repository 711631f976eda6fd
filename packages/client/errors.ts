import type { Problem } from './answers.ts';

/** A call that Tollgate refused, or did not answer. The message says what to do. */
export class TollgateError extends Error {
  override readonly name = 'TollgateError';
  /** Status of the response; null if there was none. */
  readonly status: number | null;
  /** Body of the response, if it is a problem. */
  readonly problem: Problem | null;
  /** Seconds after which the call may be repeated; null if the response names none. */
  readonly retryAfterSeconds: number | null;

  constructor(
    message: string,
    details: {
      readonly status?: number;
      readonly problem?: Problem | null;
      readonly retryAfterSeconds?: number | null;
      readonly cause?: unknown;
    } = {},
  ) {
    super(message, { cause: details.cause });
    this.status = details.status ?? null;
    this.problem = details.problem ?? null;
    this.retryAfterSeconds = details.retryAfterSeconds ?? null;
  }
}

export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
