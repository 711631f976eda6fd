import { once } from 'node:events';
import { connect } from 'node:net';

export interface RawAnswer {
  readonly status: number;
  readonly head: string;
  readonly body: string;
}

/** Sends bytes as they are, which no HTTP client would, and reads one answer to its end. */
export async function sendRaw(url: string, text: string): Promise<RawAnswer> {
  const { hostname, port } = new URL(url);
  const socket = connect(Number(port), hostname);
  socket.on('error', () => undefined);
  let answer = '';
  socket.on('data', (chunk: Buffer) => (answer += chunk.toString('latin1')));
  socket.write(Buffer.from(text, 'latin1'));
  if (!socket.readableEnded) await once(socket, 'close');
  const [head = '', body = ''] = answer.split('\r\n\r\n', 2);
  return { status: Number(head.split(' ')[1]), head, body };
}

/** One request on a connection of its own; `fields` are header lines. */
export function rawRequest(line: string, fields: readonly string[] = []): string {
  return `${[`${line} HTTP/1.1`, 'Host: tollgate.example', 'Connection: close', ...fields].join('\r\n')}\r\n\r\n`;
}
