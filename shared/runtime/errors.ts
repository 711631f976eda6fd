/** Every error Tollgate throws on purpose. What the domain expects (limited, bad event) is a value, never one of these. */
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
  | 'SPOOL_FULL'
  | 'SPOOL_CORRUPT'
  | 'SPOOL_LOCKED'
  | 'SPOOL_CLOSED'
  | 'DELIVERY_FAILED'
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

/** The text of whatever was thrown, for logs and answers. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
