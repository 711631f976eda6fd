/** The properties of a statement that the server needs before the engine runs it. Only the engine parses SQL. */
export interface Statement {
  readonly kind: 'insert' | 'select' | 'other';
  /** Format of the result, or of the data of an INSERT. */
  readonly format: string;
}

const comments = /^(?:\s+|--[^\n]*\n?|#[^\n]*\n?|\/\*[\s\S]*?\*\/|\()+/;
const trailingFormat = /\bFORMAT\s+([A-Za-z]\w*)\s*(?:SETTINGS\b[^;]*)?;?\s*$/i;

export function statementOf(sql: string, defaultFormat: string): Statement {
  const verb = /^\w*/.exec(sql.replace(comments, ''))?.[0].toUpperCase() ?? '';
  const format = trailingFormat.exec(sql)?.[1] ?? defaultFormat;
  if (verb === 'INSERT') return { kind: 'insert', format };
  if (verb === 'SELECT' || verb === 'WITH' || verb === 'FROM') return { kind: 'select', format };
  return { kind: 'other', format };
}

// Formats without a header or footer: concatenated blocks form one document.
const joinable = new Set([
  ...[
    'JSONEachRow',
    'JSONLines',
    'NDJSON',
    'JSONStringsEachRow',
    'JSONCompactEachRow',
    'JSONCompactStringsEachRow',
  ],
  ...['TabSeparated', 'TSV', 'TabSeparatedRaw', 'TSVRaw', 'CSV', 'RowBinary', 'Native', 'LineAsString'],
]);

/** Whether the result may be streamed, each block as soon as the engine computes it. */
export function streams(statement: Statement): boolean {
  return statement.kind === 'select' && joinable.has(statement.format);
}

/**
 * Separates `INSERT … FORMAT X` from the data that follows it in the same body. Null if the body has no data after
 * the statement.
 */
export function splitInsert(body: Buffer): { prefix: string; format: string; data: Buffer } | null {
  const head = body.subarray(0, insertHeadBytes).toString('latin1');
  if (!/^INSERT\b/i.test(head.replace(comments, ''))) return null;
  const match = /\bFORMAT\s+([A-Za-z]\w*)[ \t]*(?:\r?\n|(?=[[{("']))/i.exec(head);
  if (match === null) return null;
  const end = match.index + match[0].length;
  return {
    prefix: body.subarray(0, end).toString('utf8').trimEnd(),
    format: match[1] ?? '',
    data: body.subarray(end),
  };
}

const insertHeadBytes = 64 * 1024;

const contentTypes: readonly (readonly [RegExp, string])[] = [
  [/EachRow|^NDJSON$|^JSONLines$/i, 'application/x-ndjson; charset=UTF-8'],
  [/^JSON/i, 'application/json; charset=UTF-8'],
  [/^(?:TSV|TabSeparated)/i, 'text/tab-separated-values; charset=UTF-8'],
  [/^CSV/i, 'text/csv; charset=UTF-8'],
  [/^XML$/i, 'application/xml; charset=UTF-8'],
  [
    /^(?:RowBinary|Native|Parquet|Arrow|ORC|Avro|MsgPack|BSON|Protobuf|CapnProto|RawBLOB|Npy)/i,
    'application/octet-stream',
  ],
];

export function contentTypeOf(format: string): string {
  return contentTypes.find(([pattern]) => pattern.test(format))?.[1] ?? 'text/plain; charset=UTF-8';
}
