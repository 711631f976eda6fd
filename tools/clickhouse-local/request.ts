import type { IncomingMessage } from 'node:http';
import { acceptedCoding } from './coding.ts';
import type { Coding } from './coding.ts';
import { protocolError } from './exceptions.ts';

/** One request as ClickHouse's HTTP interface takes it, before its body is read. */
export interface QueryRequest {
  /** The part of the SQL that stands in the URL; the body, if any, follows it on a new line. */
  readonly urlQuery: string;
  /** Settings and `param_*` of the URL, in the order in which they are to be set. */
  readonly settings: readonly (readonly [name: string, value: string])[];
  readonly database: string | null;
  /** For a query without a FORMAT of its own. */
  readonly defaultFormat: string;
  readonly queryId: string | null;
  readonly sessionId: string | null;
  readonly sessionTimeoutMs: number;
  /** GET may only read, as in ClickHouse. */
  readonly readOnly: boolean;
  /** Coding of the response body, if the client requests and accepts one. */
  readonly coding: Coding | null;
  /** The status must report every error, so no data is sent before the end of the query. */
  readonly waitsForEnd: boolean;
}

export function queryRequest(request: IncomingMessage, url: URL): QueryRequest {
  const parameters = url.searchParams;
  for (const name of ['compress', 'decompress']) {
    if (isOn(parameters.get(name))) {
      throw protocolError(
        48,
        'NOT_IMPLEMENTED',
        `${name}=1 is not offered by the local server: use Content-Encoding and Accept-Encoding`,
      );
    }
  }
  return {
    urlQuery: parameters.get('query') ?? '',
    settings: settingsOf(parameters),
    database: nonEmpty(parameters.get('database')) ?? header(request, 'x-clickhouse-database'),
    defaultFormat:
      parameters.get('default_format') ?? header(request, 'x-clickhouse-format') ?? 'TabSeparated',
    queryId: parameters.get('query_id') ?? header(request, 'x-clickhouse-query-id'),
    sessionId: nonEmpty(parameters.get('session_id')),
    sessionTimeoutMs: Number(parameters.get('session_timeout') ?? 60) * 1000,
    readOnly: request.method === 'GET',
    coding: isOn(parameters.get('enable_http_compression'))
      ? acceptedCoding(header(request, 'accept-encoding') ?? '')
      : null,
    waitsForEnd: isOn(parameters.get('wait_end_of_query')),
  };
}

/** The statements that give a connection the request's database, settings and parameters. */
export function prepareStatements(query: QueryRequest): string[] {
  const statements: string[] = [];
  if (query.database !== null) statements.push(`USE ${identifier(query.database)}`);
  const settings = [...query.settings];
  // A session's connection serves later requests too, which may write.
  if (query.readOnly && query.sessionId === null && !settings.some(([name]) => name === 'readonly')) {
    settings.push(['readonly', '2']);
  }
  if (settings.length > 0) {
    statements.push(`SET ${settings.map(([name, value]) => `${name} = ${quoted(value)}`).join(', ')}`);
  }
  return statements;
}

function identifier(name: string): string {
  return '`' + name.replaceAll('\\', '\\\\').replaceAll('`', '\\`') + '`';
}

function quoted(text: string): string {
  return `'${text.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`;
}

// Read by the server itself, or without meaning in one process with one user and no asynchronous inserts.
const notSettings = new Set([
  ...['query', 'database', 'default_format', 'query_id', 'session_id', 'session_timeout', 'session_check'],
  ...[
    'user',
    'password',
    'quota_key',
    'role',
    'compress',
    'decompress',
    'enable_http_compression',
    'stacktrace',
  ],
  ...[
    'wait_end_of_query',
    'buffer_size',
    'close_session',
    'client_protocol_version',
    'send_progress_in_http_headers',
  ],
  ...[
    'http_headers_progress_interval_ms',
    'async_insert',
    'wait_for_async_insert',
    'allow_experimental_analyzer',
  ],
]);

function settingsOf(parameters: URLSearchParams): [string, string][] {
  const settings: [string, string][] = [];
  for (const [name, value] of parameters) {
    if (notSettings.has(name)) continue;
    if (!/^\w+$/.test(name)) throw protocolError(115, 'UNKNOWN_SETTING', `Unknown setting '${name}'`);
    settings.push([name, value]);
  }
  // Once read-only is on, nothing more may be set.
  return settings.sort(([a], [b]) => Number(a === 'readonly') - Number(b === 'readonly'));
}

function header(request: IncomingMessage, name: string): string | null {
  const value = request.headers[name];
  return typeof value === 'string' && value !== '' ? value : null;
}

function isOn(value: string | null): boolean {
  return value !== null && !['', '0', 'false'].includes(value);
}

function nonEmpty(value: string | null): string | null {
  return value === '' ? null : value;
}
