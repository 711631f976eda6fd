/** What a client of ClickHouse reads when a query fails. */
export interface Exception {
  /** ClickHouse's own code, 0 where the text names none. */
  readonly code: number;
  readonly status: number;
  readonly text: string;
}

/** An exception this server raises itself, in the engine's own words. */
export class ProtocolError extends Error {}

export function protocolError(code: number, name: string, message: string): ProtocolError {
  return new ProtocolError(`Code: ${code}. DB::Exception: ${message} (${name})`);
}

/** Reads the code out of the engine's text and chooses the HTTP status a ClickHouse server answers with. */
export function exceptionOf(error: unknown, version: string): Exception {
  const raw = error instanceof Error ? error.message : String(error);
  const start = raw.indexOf('Code: ');
  const text = start > 0 ? raw.slice(start) : raw;
  const code = Number(/^Code: (\d+)\./.exec(text)?.[1] ?? 0);
  return { code, status: statusOf(code), text: `${text.trimEnd()} (version ${version})\n` };
}

function statusOf(code: number): number {
  for (const [status, codes] of statuses) if (codes.has(code)) return status;
  return 500;
}

// By ClickHouse's names: what the client wrote wrongly is 400, what does not exist 404, the rest 500.
const statuses: readonly (readonly [number, ReadonlySet<number>])[] = [
  // CANNOT_PARSE_* , UNKNOWN_ELEMENT_IN_AST, TYPE_MISMATCH, SYNTAX_ERROR, INCORRECT_DATA, TOO_DEEP_AST, ILLEGAL_AGGREGATION,
  // UNKNOWN_QUERY_PARAMETER, BAD_QUERY_PARAMETER
  [
    400,
    new Set([6, 26, 27, 38, 41, 53, 62, 70, 72, 117, 130, 167, 168, 183, 184, 223, 427, 441, 456, 457, 467]),
  ],
  // AUTHENTICATION_FAILED and its like
  [403, new Set([192, 193, 194, 195, 291, 497, 516])],
  // UNKNOWN_IDENTIFIER, _FUNCTION, _TYPE, _STORAGE, _TABLE, _FORMAT, _DATABASE, _SETTING, _COLUMN
  [404, new Set([46, 47, 50, 56, 60, 73, 78, 81, 82, 115, 137, 279, 511])],
  // TIMEOUT_EXCEEDED
  [408, new Set([159])],
  // REQUEST_TOO_LARGE for this server, QUERY_IS_TOO_LARGE
  [413, new Set([307, 396, 66])],
  // NOT_IMPLEMENTED
  [501, new Set([48])],
];
