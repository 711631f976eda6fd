import type { IncomingMessage } from 'node:http';
import { acceptedCoding } from './coding.ts';
import type { Coding } from './coding.ts';
import { protocolError } from './exceptions.ts';

/** A request to ClickHouse's HTTP interface without its body. */
export interface QueryRequest {
  /** The part of the SQL that is in the URL. The body, if there is one, continues the SQL on a new line. */
  readonly urlQuery: string;
  /** Settings and `param_*` of the URL, in the order in which the SET statement lists them. */
  readonly settings: readonly (readonly [name: string, value: string])[];
  readonly database: string | null;
  /** Format of the result of a query that has no FORMAT clause. */
  readonly defaultFormat: string;
  readonly queryId: string | null;
  readonly sessionId: string | null;
  readonly sessionTimeoutMs: number;
  /** True for a GET request, which may only read, as in ClickHouse. */
  readonly readOnly: boolean;
  /** Coding of the response body; null if the client did not enable compression or accepts no supported coding. */
  readonly coding: Coding | null;
  /** True: the status must report every error, so no data is sent before the end of the query. */
  readonly waitsForEnd: boolean;
  /** Revision of the client for which blocks of the Native format are written; 0 if the client names none. */
  readonly clientRevision: number;
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
    clientRevision: Number(parameters.get('client_protocol_version') ?? 0) || 0,
  };
}

/** Statements that apply the request's database, settings and parameters to a connection. */
export function prepareStatements(query: QueryRequest): string[] {
  const statements: string[] = [];
  if (query.database !== null) statements.push(`USE ${identifier(query.database)}`);
  const settings = [...query.settings];
  // The connection of a named session stays writable, because later requests of the session may write.
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

// URL parameters that are not settings of the engine: the server reads them itself, or they have no effect in one
// process with one user and without asynchronous inserts.
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
  ...['http_headers_progress_interval_ms', 'allow_experimental_analyzer'],
]);

function settingsOf(parameters: URLSearchParams): [string, string][] {
  const settings: [string, string][] = [];
  for (const [name, value] of parameters) {
    if (notSettings.has(name)) continue;
    if (!/^\w+$/.test(name)) throw protocolError(115, 'UNKNOWN_SETTING', `Unknown setting '${name}'`);
    settings.push([name, value]);
  }
  // `readonly` comes last, because no setting can be changed after it.
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
