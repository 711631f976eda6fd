/** The response to a query that fails. */
export interface Exception {
  /** ClickHouse's error code; 0 if the text contains none. */
  readonly code: number;
  readonly status: number;
  readonly text: string;
}

/** An error that this server throws itself, in the format of the engine's errors. */
export class ProtocolError extends Error {}

export function protocolError(code: number, name: string, message: string): ProtocolError {
  return new ProtocolError(`Code: ${code}. DB::Exception: ${message} (${name})`);
}

/** Reads the error code from the engine's text and chooses the HTTP status that a ClickHouse server sends for it. */
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

// HTTP status by error code: 400 for an invalid query, 404 for a name that does not exist, 500 for all codes not
// listed. The comments below give ClickHouse's names of the codes.
const statuses: readonly (readonly [number, ReadonlySet<number>])[] = [
  // CANNOT_PARSE_* , UNKNOWN_ELEMENT_IN_AST, TYPE_MISMATCH, SYNTAX_ERROR, INCORRECT_DATA, TOO_DEEP_AST, ILLEGAL_AGGREGATION,
  // UNKNOWN_QUERY_PARAMETER, BAD_QUERY_PARAMETER
  [
    400,
    new Set([6, 26, 27, 38, 41, 53, 62, 70, 72, 117, 130, 167, 168, 183, 184, 223, 427, 441, 456, 457, 467]),
  ],
  // AUTHENTICATION_FAILED and related errors
  [403, new Set([192, 193, 194, 195, 291, 497, 516])],
  // UNKNOWN_IDENTIFIER, UNKNOWN_FUNCTION, UNKNOWN_TYPE and the same for storages, tables, formats, databases,
  // settings, columns
  [404, new Set([46, 47, 50, 56, 60, 73, 78, 81, 82, 115, 137, 279, 511])],
  // TIMEOUT_EXCEEDED
  [408, new Set([159])],
  // TOO_MANY_BYTES (the body is too large for this server), QUERY_IS_TOO_LARGE
  [413, new Set([307, 396, 66])],
  // NOT_IMPLEMENTED
  [501, new Set([48])],
];
