import { openRaw } from './raw-connection.ts';

export interface RawText {
  readonly status: number;
  /** The status line and the header fields as received. */
  readonly head: string;
  readonly body: string;
}

/** Sends the text of one request without any change, and reads until the server closes the connection. */
export async function sendRaw(url: string, request: string): Promise<RawText> {
  const connection = await openRaw(url);
  connection.write(request);
  await connection.closed;
  const [head = '', body = ''] = connection.text().split('\r\n\r\n', 2);
  return { status: Number(head.split(' ')[1]), head, body };
}

/** The text of a request without a body. `line` is method and target, `fields` are header lines. */
export function rawRequest(line: string, fields: readonly string[] = []): string {
  return `${[`${line} HTTP/1.1`, 'Host: tollgate.example', 'Connection: close', ...fields].join('\r\n')}\r\n\r\n`;
}
