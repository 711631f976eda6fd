import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';

/** What the embedded engine's addon offers and this server uses. Calls that end in `Async` run on libuv's threads. */
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
  /** Analyses the query on the calling thread, scalar subqueries and all. */
  StreamQuery(connection: Connection, sql: string, format: string): StreamHandle;
  /** One block at a time, each formatted as a document of its own. */
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

/** The embedded engine takes a bare expression for a SELECT; a server calls it a syntax error. */
export const connectionArgs: readonly string[] = ['--implicit_select=0'];

export function loadAddon(): Addon {
  const require = createRequire(import.meta.url);
  const home = dirname(require.resolve('chdb/package.json'));
  // The package's own loader: it supports all platforms. The classes above it refuse binary formats and share parameters
  // between connections, so that parameterized queries had to wait for one another.
  const loader = require(join(home, 'dist', 'loader.js')) as { loadNative(): Addon };
  return loader.loadNative();
}
