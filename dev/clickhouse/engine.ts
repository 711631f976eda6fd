import { createRequire } from 'node:module';
import { dirname, join, resolve } from 'node:path';

/** What the embedded engine's addon offers and this server uses. */
interface Addon {
  CreateConnection(dir: string, args?: readonly string[]): Connection;
  CloseConnection(connection: Connection): void;
  QueryAsyncConnection(connection: Connection, sql: string, format: string): Promise<AddonResult>;
  InsertRawAsyncConnection(
    connection: Connection,
    prefix: string,
    data: Buffer,
    countLines: boolean,
  ): Promise<InsertResult>;
}

type Connection = object;

interface AddonResult {
  readonly bytes: Buffer;
  readonly elapsed: number;
  readonly rowsRead: number;
  readonly bytesRead: number;
}

interface InsertResult {
  readonly elapsed: number;
  readonly rowsWritten: number;
  readonly bytesWritten: number;
}

export interface Summary {
  readonly elapsedSeconds: number;
  readonly readRows: number;
  readonly readBytes: number;
  readonly writtenRows: number;
  readonly writtenBytes: number;
}

export interface EngineResult {
  readonly body: Buffer;
  readonly summary: Summary;
}

/** One request's own connection: its settings, parameters and database touch no other request. */
export interface EngineSession {
  /** Errors are thrown with the engine's own text, `Code: 62. DB::Exception: …`. */
  run(sql: string, format: string): Promise<EngineResult>;
  /** `prefix` is the INSERT up to its format; the data is read by the engine from the buffer. */
  insert(prefix: string, data: Buffer): Promise<EngineResult>;
  close(): void;
}

export interface Engine {
  /** About 0.3 ms. */
  open(): EngineSession;
  close(): void;
}

/**
 * The embedded ClickHouse engine on one data folder. One process may open a folder; within it, connections share
 * the engine and run beside one another on the threads of libuv's pool.
 */
export function openEngine(dir: string): Engine {
  const addon = loadAddon();
  const path = resolve(dir);
  // Kept to the end: the engine shuts down with its last connection.
  const root = addon.CreateConnection(path);
  return {
    open: () => openSession(addon, addon.CreateConnection(path, likeAServer)),
    close: () => addon.CloseConnection(root),
  };
}

/** The embedded engine takes a bare expression for a SELECT; a server calls it a syntax error. */
const likeAServer = ['--implicit_select=0'];

export function loadAddon(): Addon {
  const require = createRequire(import.meta.url);
  const home = dirname(require.resolve('chdb/package.json'));
  // The package's own loader: it knows the platforms. The classes above it refuse binary formats and share settings.
  const loader = require(join(home, 'dist', 'loader.js')) as { loadNative(): Addon };
  return loader.loadNative();
}

function openSession(addon: Addon, connection: Connection): EngineSession {
  let running = 0;
  let closing = false;
  const track = async <Result>(work: Promise<Result>): Promise<Result> => {
    running++;
    try {
      return await work;
    } finally {
      running--;
      if (closing && running === 0) addon.CloseConnection(connection);
    }
  };
  return {
    async run(sql, format) {
      const result = await track(addon.QueryAsyncConnection(connection, sql, format));
      return {
        body: result.bytes,
        summary: {
          elapsedSeconds: result.elapsed,
          readRows: result.rowsRead,
          readBytes: result.bytesRead,
          writtenRows: 0,
          writtenBytes: 0,
        },
      };
    },
    async insert(prefix, data) {
      const result = await track(addon.InsertRawAsyncConnection(connection, prefix, data, false));
      return {
        body: Buffer.alloc(0),
        summary: {
          elapsedSeconds: result.elapsed,
          readRows: result.rowsWritten,
          readBytes: result.bytesWritten,
          writtenRows: result.rowsWritten,
          writtenBytes: result.bytesWritten,
        },
      };
    },
    close() {
      if (closing) return;
      closing = true;
      // A connection closed under a running query takes the whole engine down; the last query closes it instead.
      if (running === 0) addon.CloseConnection(connection);
    },
  };
}
