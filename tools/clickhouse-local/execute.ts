import type { IncomingMessage } from 'node:http';
import { decodedBody } from './coding.ts';
import type { Engine, EngineResult, EngineSession } from './engine.ts';
import { insertBody, readBody } from './insert.ts';
import type { BodyBounds } from './insert.ts';
import { blocksOfRevision } from './native/blocks.ts';
import { prepareStatements } from './request.ts';
import type { QueryRequest } from './request.ts';
import type { Sessions } from './sessions.ts';
import { splitInsert, statementOf, streams } from './statement.ts';

export interface Executor {
  readonly engine: Engine;
  readonly sessions: Sessions;
  readonly bounds: BodyBounds;
}

/** Result of a statement: `whole` if it is complete, `stream` if the engine still computes it. */
export type Outcome =
  | { readonly kind: 'whole'; readonly format: string; readonly result: EngineResult }
  | { readonly kind: 'stream'; readonly format: string; readonly blocks: AsyncGenerator<Buffer, void> };

/**
 * Runs the request's statement. An INSERT reads its data from the body; a SELECT is streamed block by block where the
 * format permits; the result of any other statement is sent when it is complete. Returns null if the request contains
 * no statement.
 */
export async function execute(
  executor: Executor,
  query: QueryRequest,
  request: IncomingMessage,
  gone: AbortSignal,
): Promise<Outcome | null> {
  const body = decodedBody(request);
  if (statementOf(query.urlQuery, '').kind === 'insert' && hasBody(request)) {
    const { format } = statementOf(query.urlQuery, 'Values');
    const insert = (session: EngineSession): Promise<EngineResult> =>
      insertBody(session, query.urlQuery, format, body, executor.bounds);
    return whole(executor, query, format, insert);
  }
  const bytes = await readBody(body, executor.bounds);
  const inline = query.urlQuery === '' ? splitInsert(bytes) : null;
  if (inline !== null) {
    return whole(executor, query, inline.format, (session) => session.insert(inline.prefix, inline.data));
  }
  const sql = [query.urlQuery, bytes.toString('utf8')].filter((part) => part !== '').join('\n');
  if (sql.trim() === '') return null;
  const statement = statementOf(sql, query.defaultFormat);
  // A stream opens a connection of its own, which does not have the temporary tables of a named session.
  if (streams(statement) && query.sessionId === null && !query.waitsForEnd) {
    const prepare = prepareStatements(query);
    const blocks = executor.engine.stream({ prepare, sql, format: query.defaultFormat });
    return { kind: 'stream', format: statement.format, blocks: forClient(blocks, query, statement.format) };
  }
  const run = statement.kind === 'select' ? cancellable(executor.engine, sql, query, gone) : null;
  return whole(executor, query, statement.format, async (session) => {
    const result = await (run === null ? session.run(sql, query.defaultFormat) : run(session));
    if (statement.format !== 'Native') return result;
    return { ...result, body: blocksOfRevision(result.body, query.clientRevision) };
  });
}

async function* forClient(
  blocks: AsyncGenerator<Buffer, void>,
  { clientRevision }: QueryRequest,
  format: string,
): AsyncGenerator<Buffer, void> {
  for await (const block of blocks)
    yield format === 'Native' ? blocksOfRevision(block, clientRevision) : block;
}

async function whole(
  { sessions }: Executor,
  query: QueryRequest,
  format: string,
  work: (session: EngineSession) => Promise<EngineResult>,
): Promise<Outcome> {
  const { session, release } = sessions.acquire(query.sessionId, query.sessionTimeoutMs);
  try {
    for (const statement of prepareStatements(query)) await session.run(statement, 'Null');
    return { kind: 'whole', format, result: await work(session) };
  } finally {
    release();
  }
}

/**
 * A SELECT that is cancelled in the engine when its client disconnects. A comment with a unique text at the end of
 * the query identifies it for KILL QUERY.
 */
function cancellable(
  engine: Engine,
  sql: string,
  query: QueryRequest,
  gone: AbortSignal,
): (session: EngineSession) => Promise<EngineResult> {
  return async (session) => {
    const mark = `request ${crypto.randomUUID()}`;
    const kill = (): void => void killQuery(engine, mark);
    gone.addEventListener('abort', kill, { once: true });
    try {
      return await session.run(`${sql.replace(/;\s*$/, '')}\n-- ${mark}`, query.defaultFormat);
    } finally {
      gone.removeEventListener('abort', kill);
    }
  };
}

async function killQuery(engine: Engine, mark: string): Promise<void> {
  const session = engine.open();
  try {
    await session.run(`KILL QUERY WHERE endsWith(query, '-- ${mark}') ASYNC`, 'Null');
  } catch {
    // The query has ended or will end; no request waits for it.
  } finally {
    session.close();
  }
}

function hasBody(request: IncomingMessage): boolean {
  const length = request.headers['content-length'];
  return request.headers['transfer-encoding'] !== undefined || (length !== undefined && length !== '0');
}
