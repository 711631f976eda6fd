import { parentPort, workerData } from 'node:worker_threads';
import { connectionArgs, loadAddon } from './addon.ts';
import type { Connection, StreamHandle } from './addon.ts';

export interface StreamRequest {
  /** Statements that the connection runs first: they set its database, settings and parameters. */
  readonly prepare: readonly string[];
  readonly sql: string;
  /** Format of the result if the query names none. */
  readonly format: string;
}

/** Messages from the server. `start` and `next` each request one block; `cancel` ends the stream. */
export type StreamCommand =
  | { readonly id: number; readonly do: 'start'; readonly request: StreamRequest }
  | { readonly id: number; readonly do: 'next' | 'cancel' };

/** Messages to the server: one response to each `start` and `next`. */
export type StreamAnswer =
  | { readonly id: number; readonly block: Uint8Array }
  | { readonly id: number; readonly end: true; readonly error?: string };

interface Running {
  readonly connection: Connection;
  readonly handle: StreamHandle;
  fetching: boolean;
  cancelled: boolean;
}

// The engine analyses a streamed query, scalar subqueries included, on the thread that opens it. That can take long,
// so it runs on this worker thread and does not delay other requests.
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

/** Called only while no fetch runs, because the engine reads the handle without a lock. */
function end(id: number, stream: Running, finished: boolean): void {
  running.delete(id);
  if (!finished) addon.StreamCancel(stream.handle);
  addon.CloseConnection(stream.connection);
}

function answer(message: StreamAnswer): void {
  parentPort?.postMessage(message);
}
