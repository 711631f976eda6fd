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

/** One request's own connection: its settings, parameters and database touch no other request. */
export interface EngineSession {
  /** Errors are thrown with the engine's own text, `Code: 62. DB::Exception: …`. */
  run(sql: string, format: string): Promise<EngineResult>;
  /** `prefix` is the INSERT up to its format; the engine reads the data from the buffer, or from a file. */
  insert(prefix: string, data: Buffer): Promise<EngineResult>;
  close(): void;
}

export interface Engine {
  /** About 0.3 ms. */
  open(): EngineSession;
  /** The result block by block, each produced when it is requested. Only for formats whose blocks may be joined. */
  stream(request: StreamRequest): AsyncGenerator<Buffer, void>;
}

/**
 * The embedded ClickHouse engine on one data folder. One process may open a folder; within it, connections share
 * the engine and run beside one another on the threads of libuv's pool. A configuration file may name the users' file.
 */
export function openEngine(dir: string, configFile: string | null = null): Engine {
  const addon = loadAddon();
  const path = resolve(dir);
  // Kept to the end: the engine shuts down with its last connection.
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
      // A connection closed under a running query takes the whole engine down; the last query closes it instead.
      if (running === 0) addon.CloseConnection(connection);
    },
  };
}
