import { TollgateError } from '../../runtime/errors.ts';
import type { ErrorCode } from '../../runtime/errors.ts';

/**
 * Why a handler failed.
 * - `content`: a record itself causes the error, and a retry cannot succeed. Only the codes in `contentCodes` count as
 *   content.
 * - `outage`: a dependency is down or misconfigured. Every record fails in the same way, so the batch is retried.
 * - `unexpected`: an error of Tollgate's own code, or an error without a code. The cause may be the content or an
 *   outage.
 */
export type Failure = 'outage' | 'content' | 'unexpected';

/**
 * All codes of errors that a record itself causes. An error with another code does not by itself make a dead letter.
 */
const contentCodes = [
  'KAFKA_RECORD_REFUSED',
  'REDIS_VALUE_REFUSED',
  'CLICKHOUSE_DATA_REFUSED',
  'TENANT_RECORD_INVALID',
] as const satisfies readonly ErrorCode[];
const isContentCode: ReadonlySet<ErrorCode> = new Set(contentCodes);

export function failureOf(error: unknown): Failure {
  if (!(error instanceof TollgateError)) return 'unexpected';
  return isContentCode.has(error.code) ? 'content' : 'outage';
}

export const retryDelayMsMax = 5_000;

/**
 * Attempts to handle a complete batch before it is halved. An unexpected error has more attempts, because it may end by
 * itself.
 */
export const attemptsMax = { content: 2, unexpected: 6 } as const;

/**
 * Once this many records have failed alone and no record has succeeded, the batch is not halved any further, because
 * the records are then not the cause.
 */
export const unprovenMax = 20;

/**
 * Number of rounds in which a record that alone causes an unexpected error is retried. Each entry states how long its
 * rounds take, including the delays between them.
 */
export const roundsMax = {
  /** Ten seconds, if few records fail and others succeed. */
  few: 6,
  /**
   * Five minutes, if more than `unprovenMax` records fail. The cause may be all records of one kind, or a part of a
   * dependency.
   */
  many: 60,
  /** A quarter of an hour, if no other record succeeds. */
  unproven: 182,
} as const;
