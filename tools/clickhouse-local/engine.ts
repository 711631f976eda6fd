import { resolve } from 'node:path';
import { connectionArgs, loadAddon } from './addon.ts';
import type { Addon, Connection } from './addon.ts';
import { createFileHandover, needsFile } from './handed-over.ts';
import type { FileHandover } from './handed-over.ts';
import { createStreams } from './streams.ts';
import type { StreamRequest } from './stream-worker.ts';

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

/** The connection of one request. Its settings, parameters and database affect no other request. */
export interface EngineSession {
  /** Throws errors with the engine's own text: `Code: 62. DB::Exception: …`. */
  run(sql: string, format: string): Promise<EngineResult>;
  /** `prefix` is the INSERT statement up to its format. The engine reads the data from the buffer, or from a file. */
  insert(prefix: string, data: Buffer): Promise<EngineResult>;
  close(): void;
}

export interface Engine {
  /** About 0.3 ms. */
  open(): EngineSession;
  /**
   * Yields the result block by block. The engine computes a block only when the caller requests it. Only for formats
   * whose blocks can be concatenated.
   */
  stream(request: StreamRequest): AsyncGenerator<Buffer, void>;
}

/**
 * Opens the embedded ClickHouse engine on a data folder. Only one process at a time may open the folder. Within the
 * process all connections share the engine, and their queries run concurrently on the threads of libuv's pool. The
 * configuration file may name a file of users.
 */
export function openEngine(dir: string, configFile: string | null = null): Engine {
  const addon = loadAddon();
  const path = resolve(dir);
  // This connection stays open, because the engine shuts down when its last connection is closed.
  addon.CreateConnection(path, configFile === null ? [] : [`--config-file=${configFile}`]);
  const streams = createStreams(path);
  const handover = createFileHandover(`${path}.incoming`);
  return {
    open: () => openSession(addon, addon.CreateConnection(path, connectionArgs), handover),
    stream: (request) => streams.open(request),
  };
}

function openSession(addon: Addon, connection: Connection, handover: FileHandover): EngineSession {
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
      const read = { readRows: result.rowsRead, readBytes: result.bytesRead };
      return {
        body: result.bytes,
        summary: { elapsedSeconds: result.elapsed, ...read, writtenRows: 0, writtenBytes: 0 },
      };
    },
    async insert(prefix, data) {
      if (needsFile(data)) {
        const { elapsed, rowsRead, bytesRead } = await handover.through(prefix, data, (sql) =>
          track(addon.QueryAsyncConnection(connection, sql, 'Null')),
        );
        const rows = {
          readRows: rowsRead,
          readBytes: bytesRead,
          writtenRows: rowsRead,
          writtenBytes: bytesRead,
        };
        return { body: Buffer.alloc(0), summary: { elapsedSeconds: elapsed, ...rows } };
      }
      const result = await track(addon.InsertRawAsyncConnection(connection, prefix, data, false));
      const written = { writtenRows: result.rowsWritten, writtenBytes: result.bytesWritten };
      const read = { readRows: result.rowsWritten, readBytes: result.bytesWritten };
      return { body: Buffer.alloc(0), summary: { elapsedSeconds: result.elapsed, ...read, ...written } };
    },
    close() {
      if (closing) return;
      closing = true;
      // Closing a connection while its query runs crashes the engine, so the last query closes the connection.
      if (running === 0) addon.CloseConnection(connection);
    },
  };
}
