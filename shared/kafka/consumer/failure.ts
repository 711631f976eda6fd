import { TollgateError } from '../../runtime/errors.ts';
import type { ErrorCode } from '../../runtime/errors.ts';

/**
 * Why a handler failed. `content`: the records themselves, which no repetition changes; only what is known to be so.
 * `outage`: something it needs is away or misconfigured, so that every record fails alike and trying again is all there is
 * to do. `unexpected`: an error of our own code, or one that nobody foresaw: it may be either.
 */
export type Failure = 'outage' | 'content' | 'unexpected';

/** The whole list: an error that is not on it makes no dead letter by itself. */
const contentCodes = [
  'KAFKA_RECORD_REFUSED',
  'REDIS_VALUE_REFUSED',
  'CLICKHOUSE_DATA_REFUSED',
  'TENANT_RECORD_INVALID',
] as const satisfies readonly ErrorCode[];
const ofContent: ReadonlySet<ErrorCode> = new Set(contentCodes);

export function failureOf(error: unknown): Failure {
  if (!(error instanceof TollgateError)) return 'unexpected';
  return ofContent.has(error.code) ? 'content' : 'outage';
}
