import { TollgateError } from '../../runtime/errors.ts';
import type { ErrorCode } from '../../runtime/errors.ts';

/**
 * Why a handler failed.
 * - `content`: a record itself causes the error, and no retry changes that. Only the codes below count as content.
 * - `outage`: a dependency is down or misconfigured. Every record fails alike, so the batch is retried.
 * - `unexpected`: an error of Tollgate's own code, or an error without a code. It may be either of the two.
 */
export type Failure = 'outage' | 'content' | 'unexpected';

/** The complete list: an error with another code does not make a dead letter by itself. */
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

/** Attempts of a whole batch before it is halved. An unexpected error may end by itself, so it gets more of them. */
export const attemptsMax = { content: 2, unexpected: 6 } as const;

/**
 * Records that may fail alone while no other record was handled. Beyond this number halving ends: the cause is then not the
 * records.
 */
export const unprovenMax = 20;

/** Rounds in which a record that fails alone with an unexpected error is retried. With the delays between them they take … */
export const roundsMax = {
  /** … ten seconds, where few records fail and others are handled, */
  few: 6,
  /** five minutes, where more than `unprovenMax` records fail: records of one kind, or one part of a dependency, */
  many: 60,
  /** a quarter of an hour, where no other record is handled either. */
  unproven: 182,
} as const;
