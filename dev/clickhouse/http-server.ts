import { randomUUID } from 'node:crypto';
import { createServer } from 'node:http';
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { Readable } from 'node:stream';
import {
  brotliCompressSync,
  createBrotliDecompress,
  createGunzip,
  createInflate,
  createZstdDecompress,
  deflateSync,
  gzipSync,
  zstdCompressSync,
} from 'node:zlib';
import type { Engine, EngineResult, EngineSession, Summary } from './engine.ts';
import { exceptionOf, protocolError } from './exceptions.ts';
import { queryRequest, setStatement } from './request.ts';
import type { QueryRequest } from './request.ts';
import { contentTypeOf, splitInsert, statementOf } from './statement.ts';

export interface ClickHouseHttpOptions {
  readonly engine: Engine;
  /** The engine's version, as errors and headers name it. */
  readonly version: string;
  /** A larger request body is refused with 413. */
  readonly bodyBytesMax: number;
}

/** ClickHouse's HTTP interface over the embedded engine. What it leaves out is in this folder's README. */
export function createClickHouseHttp(options: ClickHouseHttpOptions): Server {
  const server = createServer((request, response) => void answer(options, request, response));
  // Clients keep connections in pools; ClickHouse too closes idle ones late.
  server.keepAliveTimeout = 10_000;
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
  try {
    if (url.pathname === '/ping' || url.pathname === '/replicas_status') {
      plain(response, 200, 'Ok.\n');
      return;
    }
    if (url.pathname !== '/') {
      plain(response, 404, `There is no ${url.pathname} here: queries go to /, health checks to /ping\n`);
      return;
    }
    const query = queryRequest(request, url);
    const queryId = query.queryId ?? randomUUID();
    response.setHeader('X-ClickHouse-Query-Id', queryId);
    const body = await readBody(request, options.bodyBytesMax);
    if (query.urlQuery === '' && body.length === 0) {
      plain(response, 200, 'Ok.\n');
      return;
    }
    await execute(options.engine, query, body, response);
  } catch (error) {
    const exception = exceptionOf(error, options.version);
    response.setHeader('X-ClickHouse-Exception-Code', String(exception.code));
    request.resume();
    plain(response, exception.status, exception.text);
  }
}

async function execute(
  engine: Engine,
  query: QueryRequest,
  body: Buffer,
  response: ServerResponse,
): Promise<void> {
  const session = engine.open();
  try {
    await prepare(session, query);
    const { result, format } = await runStatement(session, query, body);
    send(response, query, format, result);
  } finally {
    session.close();
  }
}

async function prepare(session: EngineSession, query: QueryRequest): Promise<void> {
  if (query.database !== null && query.database !== '')
    await session.run(`USE ${identifier(query.database)}`, 'Null');
  const set = setStatement(query);
  if (set !== null) await session.run(set, 'Null');
}

async function runStatement(
  session: EngineSession,
  query: QueryRequest,
  body: Buffer,
): Promise<{ result: EngineResult; format: string }> {
  const insert = insertOf(query.urlQuery, body);
  if (insert !== null)
    return { result: await session.insert(insert.prefix, insert.data), format: query.defaultFormat };
  const sql = [query.urlQuery, body.toString('utf8')].filter((part) => part !== '').join('\n');
  const { format } = statementOf(sql, query.defaultFormat);
  return { result: await session.run(sql, query.defaultFormat), format };
}

/** The insert whose data came in the body, or null for every other statement. */
function insertOf(urlQuery: string, body: Buffer): { prefix: string; data: Buffer } | null {
  if (urlQuery === '') return splitInsert(body);
  if (body.length === 0 || statementOf(urlQuery, '').kind !== 'insert') return null;
  return { prefix: urlQuery, data: body };
}

function send(response: ServerResponse, query: QueryRequest, format: string, result: EngineResult): void {
  response.setHeader('X-ClickHouse-Summary', summaryText(result.summary));
  response.setHeader('X-ClickHouse-Format', format);
  response.setHeader('Content-Type', contentTypeOf(format));
  const body = coded(query.coding, result.body);
  if (query.coding !== null) response.setHeader('Content-Encoding', query.coding);
  response.setHeader('Content-Length', body.length);
  response.end(body);
}

function summaryText(summary: Summary): string {
  return JSON.stringify({
    read_rows: String(summary.readRows),
    read_bytes: String(summary.readBytes),
    written_rows: String(summary.writtenRows),
    written_bytes: String(summary.writtenBytes),
    total_rows_to_read: '0',
    result_rows: '0',
    result_bytes: '0',
    elapsed_ns: String(Math.round(summary.elapsedSeconds * 1e9)),
  });
}

function coded(coding: QueryRequest['coding'], body: Buffer): Buffer {
  if (coding === 'gzip') return gzipSync(body, { level: 1 });
  if (coding === 'zstd') return zstdCompressSync(body);
  if (coding === 'br') return brotliCompressSync(body);
  if (coding === 'deflate') return deflateSync(body, { level: 1 });
  return body;
}

async function readBody(request: IncomingMessage, bytesMax: number): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of decoded(request)) {
    const piece = chunk as Buffer;
    bytes += piece.length;
    if (bytes > bytesMax)
      throw protocolError(
        307,
        'TOO_MANY_BYTES',
        `The request body is over the local server's ${bytesMax} bytes`,
      );
    chunks.push(piece);
  }
  return Buffer.concat(chunks, bytes);
}

function decoded(request: IncomingMessage): Readable {
  const coding = request.headers['content-encoding'] ?? 'identity';
  if (coding === 'identity' || coding === '') return request;
  if (coding === 'gzip') return request.pipe(createGunzip());
  if (coding === 'deflate') return request.pipe(createInflate());
  if (coding === 'br') return request.pipe(createBrotliDecompress());
  if (coding === 'zstd') return request.pipe(createZstdDecompress());
  throw protocolError(89, 'UNKNOWN_COMPRESSION_METHOD', `Unknown compression method: ${coding}`);
}

function identifier(name: string): string {
  return '`' + name.replaceAll('\\', '\\\\').replaceAll('`', '\\`') + '`';
}

function plain(response: ServerResponse, status: number, text: string): void {
  if (response.headersSent) {
    response.destroy();
    return;
  }
  response.writeHead(status, { 'Content-Type': 'text/plain; charset=UTF-8' }).end(text);
}
