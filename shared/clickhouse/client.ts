import { Readable } from 'node:stream';
import { ClickHouseError, ClickHouseLogLevel, createClient } from '@clickhouse/client';
import type { ClickHouseSettings } from '@clickhouse/client';
import { TollgateError, messageOf } from '../runtime/errors.ts';
import type { ErrorCode } from '../runtime/errors.ts';

export interface ClickHouseOptions {
  /** `http://host:8123` */
  readonly url: string;
  readonly database: string;
  readonly username?: string;
  readonly password?: string;
  /** Timeout of a call. After it, the call rejects with CLICKHOUSE_UNAVAILABLE, but its statement may still take effect. */
  readonly requestTimeoutMs?: number;
  readonly connectionsMax?: number;
  readonly settings?: ClickHouseSettings;
}

export interface QueryOptions {
  /**
   * Aborting this signal rejects the query. ClickHouse itself stops the query only with the setting
   * `cancel_http_readonly_queries_on_client_close`.
   */
  readonly signal?: AbortSignal;
}

/** The reading part of the client. */
export type ClickHouseReader = Pick<ClickHouse, 'query'>;

export type Params = Readonly<Record<string, unknown>>;

/**
 * The only client of ClickHouse. Values are passed to SQL only as typed parameters (`{name:Type}`). Every failure is a
 * TollgateError. CLICKHOUSE_UNAVAILABLE: a retry may succeed (no connection, timeout, overload). CLICKHOUSE_DATA_REFUSED: a value
 * of an insert does not fit its column; an insert of the other rows can succeed. CLICKHOUSE_QUERY_FAILED: a retry cannot succeed.
 * The client does not retry: only the caller can decide whether a statement is repeatable.
 */
export interface ClickHouse {
  readonly options: ClickHouseOptions;
  /** Returns the rows of a query. 64-bit integers are numbers, and times are ISO 8601 in UTC. */
  query<Row>(sql: string, params?: Params, options?: QueryOptions): Promise<Row[]>;
  /** Inserts rows, which are objects, or arrays in the order of `columns`. Resolves when all rows are stored. */
  insert(table: string, rows: readonly object[], columns?: readonly string[]): Promise<void>;
  /**
   * The same as `insert` for many rows, with a third of the CPU time in this process and in ClickHouse. `blocks` are in
   * the Native format, as `encodeNative` returns them. A block may lack columns: ClickHouse stores their default values.
   */
  insertNative(table: string, columns: readonly string[], blocks: readonly Buffer[]): Promise<void>;
  /** Runs a statement without a result: DDL, or INSERT … SELECT. */
  command(sql: string, params?: Params): Promise<void>;
  close(): Promise<void>;
}

/**
 * Settings of queries. ClickHouse filters by the columns of the sort key, such as the tenant, before it reads the other columns,
 * also under FINAL. All versions of a row have the same sort key, so FINAL returns the same rows (decision 163).
 */
const readSettings: ClickHouseSettings = { optimize_move_to_prewhere_if_final: 1 };

export function createClickHouse(options: ClickHouseOptions): ClickHouse {
  const client = createClient({
    url: options.url,
    database: options.database,
    username: options.username ?? 'default',
    password: options.password ?? '',
    application: 'tollgate',
    // The library does not log errors: they reach the caller, which logs them once.
    log: { level: ClickHouseLogLevel.OFF },
    request_timeout: options.requestTimeoutMs ?? 30_000,
    max_open_connections: options.connectionsMax ?? 10,
    clickhouse_settings: {
      output_format_json_quote_64bit_integers: 0,
      date_time_output_format: 'iso',
      date_time_input_format: 'best_effort',
      // Without this setting, a result that ends early because of an error could not be distinguished from a complete one.
      wait_end_of_query: 1,
      // Since 26.3, ClickHouse by default collects small inserts of all clients before it stores them, for 50 ms or longer.
      // The services collect rows themselves.
      async_insert: 0,
      ...options.settings,
    },
  });
  return {
    options,
    query: <Row>(sql: string, params: Params = {}, { signal }: QueryOptions = {}) =>
      guarded(async () => {
        const result = await client.query({
          query: sql,
          query_params: { ...params },
          format: 'JSONEachRow',
          clickhouse_settings: readSettings,
          ...(signal === undefined ? {} : { abort_signal: signal }),
        });
        return await result.json<Row>();
      }),
    insert: (table, rows, columns) =>
      guarded(async () => {
        if (rows.length === 0) return;
        await client.insert({
          table,
          values: rows,
          format: columns === undefined ? 'JSONEachRow' : 'JSONCompactEachRow',
          ...(columns === undefined ? {} : { columns: columns as [string, ...string[]] }),
        });
      }, codeOfInsert),
    insertNative: (table, columns, blocks) =>
      guarded(async () => {
        if (blocks.length === 0) return;
        const query = `INSERT INTO ${table} (${columns.join(', ')}) FORMAT Native`;
        const { stream } = await client.exec({
          query,
          values: Readable.from(blocks, { objectMode: false }),
        });
        stream.destroy();
      }, codeOfInsert),
    command: (sql, params = {}) =>
      guarded(async () => {
        await client.command({ query: sql, query_params: { ...params } });
      }),
    close: () => client.close(),
  };
}

/** Error codes of ClickHouse after which a retry may succeed. */
const transientCodes = new Set([
  '33', // CANNOT_READ_ALL_DATA: the request was cut off
  '159', // TIMEOUT_EXCEEDED
  '164', // READONLY, while a replica recovers
  '198', // DNS_ERROR
  '202', // TOO_MANY_SIMULTANEOUS_QUERIES
  '209', // SOCKET_TIMEOUT
  '210', // NETWORK_ERROR
  '236', // ABORTED, on shutdown
  '241', // MEMORY_LIMIT_EXCEEDED
  '242', // TABLE_IS_READ_ONLY
  '243', // NOT_ENOUGH_SPACE
  '252', // TOO_MANY_PARTS
  '285', // TOO_FEW_LIVE_REPLICAS
  '319', // UNKNOWN_STATUS_OF_INSERT
  '394', // QUERY_WAS_CANCELLED
  '425', // SYSTEM_ERROR
  '439', // CANNOT_SCHEDULE_TASK
  '745', // SERVER_OVERLOADED
  '999', // KEEPER_EXCEPTION
]);

/** Error codes of ClickHouse that mean that a value of an insert does not fit its column. */
const badDataCodes = new Set([
  '6',
  '25',
  '26',
  '27',
  '38',
  '41',
  '53',
  '69',
  '70',
  '72',
  '117',
  '130',
  '131',
  '321',
  '349',
]);

async function guarded<Result>(
  call: () => Promise<Result>,
  codeOf: (error: ClickHouseError) => ErrorCode = () => 'CLICKHOUSE_QUERY_FAILED',
): Promise<Result> {
  try {
    return await call();
  } catch (error) {
    const isRefused = error instanceof ClickHouseError && !transientCodes.has(error.code);
    throw new TollgateError(
      isRefused ? codeOf(error) : 'CLICKHOUSE_UNAVAILABLE',
      `ClickHouse ${isRefused ? 'refused' : 'did not answer'}: ${messageOf(error).slice(0, 500)}`,
      { cause: error },
    );
  }
}

function codeOfInsert({ code }: ClickHouseError): ErrorCode {
  return badDataCodes.has(code) ? 'CLICKHOUSE_DATA_REFUSED' : 'CLICKHOUSE_QUERY_FAILED';
}

/**
 * Largest size in bytes of one parameter that this client sends. Parameters are part of the URL: ClickHouse accepts 1
 * MiB for a URL and 128 KiB for one parameter.
 */
const chunkBytesMax = 100_000;

/** Divides a list of ids into lists that each fit into one parameter of a request. */
export function chunksOfIds(ids: readonly string[]): string[][] {
  const chunks: string[][] = [];
  let current: string[] = [];
  let bytes = 0;
  for (const id of ids) {
    const size = encodeURIComponent(id).length + 9;
    if (current.length > 0 && bytes + size > chunkBytesMax) {
      chunks.push(current);
      current = [];
      bytes = 0;
    }
    current.push(id);
    bytes += size;
  }
  if (current.length > 0) chunks.push(current);
  return chunks;
}
