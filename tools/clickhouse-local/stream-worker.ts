import { parentPort, workerData } from 'node:worker_threads';
import { connectionArgs, loadAddon } from './addon.ts';
import type { Connection, StreamHandle } from './addon.ts';

export interface StreamRequest {
  /** Statements the connection runs first: its database, settings and parameters. */
  readonly prepare: readonly string[];
  readonly sql: string;
  /** For a query that names none. */
  readonly format: string;
}

/** From the server: `start` and each `next` request one block, `cancel` ends the stream. */
export type StreamCommand =
  | { readonly id: number; readonly do: 'start'; readonly request: StreamRequest }
  | { readonly id: number; readonly do: 'next' | 'cancel' };

/** To the server: one answer to each `start` and `next`. */
export type StreamAnswer =
  | { readonly id: number; readonly block: Uint8Array }
  | { readonly id: number; readonly end: true; readonly error?: string };

interface Running {
  readonly connection: Connection;
  readonly handle: StreamHandle;
  fetching: boolean;
  cancelled: boolean;
}

// A stream's query is analysed on the thread that opens it, which may take as long as its scalar subqueries do:
// with a thread of its own it does not delay other requests.
const addon = loadAddon();
const { dir } = workerData as { dir: string };
const running = new Map<number, Running>();
parentPort?.on('message', (command: StreamCommand) => void obey(command));

async function obey(command: StreamCommand): Promise<void> {
  if (command.do === 'cancel') {
    const stream = running.get(command.id);
    if (stream === undefined) return;
    stream.cancelled = true;
    if (!stream.fetching) end(command.id, stream, false);
    return;
  }
  try {
    if (command.do === 'start') running.set(command.id, await start(command.request));
    await fetchBlock(command.id);
  } catch (error) {
    answer({ id: command.id, end: true, error: error instanceof Error ? error.message : String(error) });
  }
}

async function start(request: StreamRequest): Promise<Running> {
  const connection = addon.CreateConnection(dir, connectionArgs);
  try {
    for (const statement of request.prepare) await addon.QueryAsyncConnection(connection, statement, 'Null');
    const handle = addon.StreamQuery(connection, request.sql, request.format);
    return { connection, handle, fetching: false, cancelled: false };
  } catch (error) {
    addon.CloseConnection(connection);
    throw error;
  }
}

async function fetchBlock(id: number): Promise<void> {
  const stream = running.get(id);
  if (stream === undefined) return;
  stream.fetching = true;
  let finished = true;
  try {
    const { done, bytes } = await addon.StreamFetch(stream.handle);
    finished = done;
    if (done) answer({ id, end: true });
    else answer({ id, block: bytes });
  } finally {
    stream.fetching = false;
    if (finished || stream.cancelled) end(id, stream, finished);
  }
}

/** Only while no fetch runs: the engine reads the handle without a lock. */
function end(id: number, stream: Running, finished: boolean): void {
  running.delete(id);
  if (!finished) addon.StreamCancel(stream.handle);
  addon.CloseConnection(stream.connection);
}

function answer(message: StreamAnswer): void {
  parentPort?.postMessage(message);
}
