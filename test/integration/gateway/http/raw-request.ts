import { openRaw } from './raw-connection.ts';

export interface RawAnswer {
  readonly status: number;
  /** Status line and fields, as they came. */
  readonly head: string;
  readonly body: string;
}

/** Sends one request as it is, which no HTTP client would, and reads until the server closes the connection. */
export async function sendRaw(url: string, request: string): Promise<RawAnswer> {
  const connection = await openRaw(url);
  connection.write(request);
  await connection.closed;
  const [head = '', body = ''] = connection.text().split('\r\n\r\n', 2);
  return { status: Number(head.split(' ')[1]), head, body };
}

/** One request on a connection of its own; `fields` are header lines. */
export function rawRequest(line: string, fields: readonly string[] = []): string {
  return `${[`${line} HTTP/1.1`, 'Host: tollgate.example', 'Connection: close', ...fields].join('\r\n')}\r\n\r\n`;
}
