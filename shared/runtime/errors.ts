/**
 * The errors that Tollgate throws. Outcomes that the domain expects (a refused request, an invalid event) are return
 * values.
 */
export type ErrorCode =
  | 'CONFIG_INVALID'
  | 'POLICY_INVALID'
  | 'REDIS_UNAVAILABLE'
  | 'REDIS_VALUE_REFUSED'
  | 'KAFKA_UNAVAILABLE'
  | 'KAFKA_PRODUCE_UNVERIFIED'
  | 'KAFKA_RECORD_REFUSED'
  | 'KAFKA_STALLED'
  | 'CLICKHOUSE_UNAVAILABLE'
  | 'CLICKHOUSE_QUERY_FAILED'
  | 'CLICKHOUSE_QUERIES_FULL'
  | 'CLICKHOUSE_DATA_REFUSED'
  | 'MIGRATION_CHANGED'
  | 'TENANT_RECORD_INVALID'
  | 'SPOOL_LOCKED'
  | 'SPOOL_CLOSED'
  | 'ROUTE_ACCESS_INVALID'
  | 'SERVER_MISSING'
  | 'CLOCK_UNREADABLE';

export class TollgateError extends Error {
  readonly code: ErrorCode;

  constructor(code: ErrorCode, message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.name = 'TollgateError';
    this.code = code;
  }
}

/** The message of a thrown value, for logs and responses. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
