import { randomBytes, randomUUID } from 'node:crypto';
import { createServer } from 'node:http';
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { compressed, compressor } from './coding.ts';
import type { Summary } from './engine.ts';
import { exceptionOf, protocolError } from './exceptions.ts';
import { execute } from './execute.ts';
import type { Executor, Outcome } from './execute.ts';
import { queryRequest } from './request.ts';
import type { QueryRequest } from './request.ts';
import { contentTypeOf } from './statement.ts';

export interface ClickHouseHttpOptions extends Executor {
  /** Version of the engine, for error texts. */
  readonly version: string;
}

/** ClickHouse's HTTP interface for the embedded engine. The README of this folder lists what it does not support. */
export function createClickHouseHttp(options: ClickHouseHttpOptions): Server {
  // Query parameters are in the URL, for which ClickHouse allows 1 MiB by default (http_max_uri_size).
  const server = createServer(
    { maxHeaderSize: 1024 * 1024 },
    (request, response) => void answer(options, request, response),
  );
  // Clients keep idle connections in pools. If the server closed an idle connection first, the client's next request
  // on it could fail.
  server.keepAliveTimeout = 30_000;
  server.requestTimeout = 0;
  return server;
}

async function answer(
  options: ClickHouseHttpOptions,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const url = new URL(request.url ?? '/', 'http://localhost');
  response.setHeader('X-ClickHouse-Server-Display-Name', 'tollgate-local');
  response.setHeader('X-ClickHouse-Timezone', 'UTC');
  if (url.pathname !== '/') {
    const healthy = url.pathname === '/ping' || url.pathname === '/replicas_status';
    if (healthy) plain(response, 200, 'Ok.\n');
    else plain(response, 404, `There is no ${url.pathname} here: queries go to /, health checks to /ping\n`);
    return;
  }
  try {
    const query = queryRequest(request, url);
    response.setHeader('X-ClickHouse-Query-Id', query.queryId ?? randomUUID());
    refuseMultipart(request);
    const outcome = await execute(options, query, request, goneSignal(response));
    if (outcome === null) plain(response, 200, 'Ok.\n');
    else await send(options, query, outcome, response);
  } catch (error) {
    const exception = exceptionOf(error, options.version);
    if (!response.headersSent) response.setHeader('X-ClickHouse-Exception-Code', String(exception.code));
    // Reads and drops the unread part of the body, so that a client that is still sending can read the response.
    request.resume();
    plain(response, exception.status, exception.text);
  }
}

async function send(
  options: ClickHouseHttpOptions,
  query: QueryRequest,
  outcome: Outcome,
  response: ServerResponse,
): Promise<void> {
  if (outcome.kind === 'stream') {
    await sendStream(options, query, outcome.format, outcome.blocks, response);
    return;
  }
  setResultHeaders(response, query, outcome.format, outcome.result.summary);
  const { body } = outcome.result;
  const sent = query.coding === null ? body : await compressed(query.coding, body);
  response.setHeader('Content-Length', sent.length);
  response.end(sent);
}

/** Waits for the first block before it sends the headers, so that a query that fails at once gets an error status. */
async function sendStream(
  options: ClickHouseHttpOptions,
  query: QueryRequest,
  format: string,
  blocks: AsyncGenerator<Buffer, void>,
  response: ServerResponse,
): Promise<void> {
  const first = await blocks.next();
  const tag = randomBytes(8).toString('hex');
  setResultHeaders(response, query, format, noSummary);
  response.setHeader('X-ClickHouse-Exception-Tag', tag);
  const readable = Readable.from(blocksThenException(first, blocks, tag, options.version), {
    objectMode: false,
  });
  const steps = query.coding === null ? [readable] : [readable, compressor(query.coding)];
  // If the client disconnects, the pipeline ends, and with it the query.
  await pipeline([...steps, response]).catch(() => response.destroy());
}

async function* blocksThenException(
  first: IteratorResult<Buffer, void>,
  blocks: AsyncGenerator<Buffer, void>,
  tag: string,
  version: string,
): AsyncGenerator<Buffer, void> {
  try {
    if (first.done !== true) {
      yield first.value;
      yield* blocks;
    }
  } catch (error) {
    // The status has already been sent. As in ClickHouse, the exception follows at the end of the body, marked with
    // the tag of the header X-ClickHouse-Exception-Tag.
    const { text } = exceptionOf(error, version);
    const length = Buffer.byteLength(text);
    yield Buffer.from(`\r\n__exception__\r\n${tag}\r\n${text}${length} ${tag}\r\n__exception__\r\n`);
  } finally {
    await blocks.return();
  }
}

const noSummary: Summary = { elapsedSeconds: 0, readRows: 0, readBytes: 0, writtenRows: 0, writtenBytes: 0 };

function setResultHeaders(
  response: ServerResponse,
  query: QueryRequest,
  format: string,
  summary: Summary,
): void {
  const counts = {
    read_rows: String(summary.readRows),
    read_bytes: String(summary.readBytes),
    written_rows: String(summary.writtenRows),
    written_bytes: String(summary.writtenBytes),
    total_rows_to_read: '0',
    result_rows: '0',
    result_bytes: '0',
    elapsed_ns: String(Math.round(summary.elapsedSeconds * 1e9)),
  };
  response.setHeader('X-ClickHouse-Summary', JSON.stringify(counts));
  response.setHeader('X-ClickHouse-Format', format);
  response.setHeader('Content-Type', contentTypeOf(format));
  if (query.coding !== null) response.setHeader('Content-Encoding', query.coding);
}

function refuseMultipart(request: IncomingMessage): void {
  if (request.headers['content-type']?.startsWith('multipart/') === true) {
    throw protocolError(
      48,
      'NOT_IMPLEMENTED',
      'External data (multipart/form-data) is not offered by the local server',
    );
  }
}

/** A signal that aborts if the client disconnects before the response is complete. */
function goneSignal(response: ServerResponse): AbortSignal {
  const controller = new AbortController();
  response.once('close', () => {
    if (!response.writableFinished) controller.abort();
  });
  return controller.signal;
}

function plain(response: ServerResponse, status: number, text: string): void {
  if (response.headersSent) {
    response.destroy();
    return;
  }
  response.writeHead(status, { 'Content-Type': 'text/plain; charset=UTF-8' }).end(text);
}
