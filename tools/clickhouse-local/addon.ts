import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';

/**
 * The functions of the embedded engine's addon that this server uses. Functions that end in `AsyncConnection` run on
 * threads of libuv's pool.
 */
export interface Addon {
  CreateConnection(dir: string, args?: readonly string[]): Connection;
  CloseConnection(connection: Connection): void;
  QueryAsyncConnection(connection: Connection, sql: string, format: string): Promise<QueryResult>;
  InsertRawAsyncConnection(
    connection: Connection,
    prefix: string,
    data: Buffer,
    countLines: boolean,
  ): Promise<InsertResult>;
  /** Analyses the query, scalar subqueries included, on the calling thread. */
  StreamQuery(connection: Connection, sql: string, format: string): StreamHandle;
  /** Returns the next block of the result. Each block is formatted as a document of its own. */
  StreamFetch(stream: StreamHandle): Promise<{ readonly done: boolean; readonly bytes: Buffer }>;
  StreamCancel(stream: StreamHandle): void;
}

export type Connection = object & { readonly brand?: 'connection' };
export type StreamHandle = object & { readonly brand?: 'stream' };

export interface QueryResult {
  readonly bytes: Buffer;
  readonly elapsed: number;
  readonly rowsRead: number;
  readonly bytesRead: number;
}

export interface InsertResult {
  readonly elapsed: number;
  readonly rowsWritten: number;
  readonly bytesWritten: number;
}

/** The embedded engine accepts a bare expression as a SELECT; a ClickHouse server answers it with a syntax error. */
export const connectionArgs: readonly string[] = ['--implicit_select=0'];

export function loadAddon(): Addon {
  const require = createRequire(import.meta.url);
  const home = dirname(require.resolve('chdb/package.json'));
  // The loader of the package, which chooses the file for the platform. The package's own classes are not used: they
  // refuse binary formats, and their connections share parameters, so that a query with parameters would wait for the
  // others.
  const loader = require(join(home, 'dist', 'loader.js')) as { loadNative(): Addon };
  return loader.loadNative();
}
