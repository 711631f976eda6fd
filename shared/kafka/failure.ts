import { TollgateError } from '../runtime/errors.ts';
import type { ErrorCode } from '../runtime/errors.ts';

/**
 * Why a handler failed. `outage`: something it needs is away or misconfigured, so that every record fails alike and trying
 * again is all there is to do. `content`: the records themselves, which no repetition changes. `unexpected`: neither is known.
 */
export type Failure = 'outage' | 'content' | 'unexpected';

const failureOfCode: Readonly<Partial<Record<ErrorCode, Failure>>> = {
  KAFKA_RECORD_REFUSED: 'content',
  REDIS_VALUE_REFUSED: 'content',
  CLICKHOUSE_DATA_REFUSED: 'content',
  TENANT_RECORD_INVALID: 'content',
};

export function failureOf(error: unknown): Failure {
  if (error instanceof TollgateError) return failureOfCode[error.code] ?? 'outage';
  const isOfLanguage =
    error instanceof TypeError || error instanceof RangeError || error instanceof SyntaxError;
  return isOfLanguage ? 'content' : 'unexpected';
}
