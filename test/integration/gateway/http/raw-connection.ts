import { once } from 'node:events';
import { connect } from 'node:net';
import { eventually } from '../../../support/servers.ts';

/** A connection on which a test writes raw bytes, and the bytes that were received. */
export interface RawConnection {
  write(text: string): void;
  readonly text: () => string;
  /** The complete responses received so far, in order. Interim responses are left out. */
  readonly responses: () => RawResponse[];
  /** Resolves with the response at this position when it is complete. */
  response(index?: number): Promise<RawResponse>;
  readonly closed: Promise<unknown>;
  /** Closes the sending side of the client (FIN). */
  end(): void;
  destroy(): void;
  pause(): void;
  resume(): void;
}

export interface RawResponse {
  readonly status: number;
  readonly version: string;
  readonly headers: ReadonlyMap<string, string>;
  readonly body: string;
}

/** `localAddress`: the address of the client, for tests that need several. */
export async function openRaw(url: string, localAddress?: string): Promise<RawConnection> {
  const { hostname, port } = new URL(url);
  const socket = connect({
    port: Number(port),
    host: hostname,
    allowHalfOpen: true,
    ...(localAddress === undefined ? {} : { localAddress }),
  });
  let text = '';
  let ended = false;
  socket.on('data', (chunk: Buffer) => (text += chunk.toString('latin1')));
  socket.on('error', () => undefined);
  socket.on('end', () => {
    ended = true;
    socket.end();
  });
  // events.once is not used here, because its promise would reject when the server resets the connection.
  const closed = new Promise<void>((resolve) => {
    socket.once('close', () => {
      ended = true;
      resolve();
    });
  });
  await once(socket, 'connect');
  const responses = (): RawResponse[] => responsesIn(text, ended);
  return {
    write: (bytes) => void socket.write(Buffer.from(bytes, 'latin1')),
    text: () => text,
    responses,
    response: (index = 0) => eventually(() => responses()[index]),
    closed,
    end: () => void socket.end(),
    destroy: () => void socket.destroy(),
    pause: () => void socket.pause(),
    resume: () => void socket.resume(),
  };
}

/** Sends a text and returns the first response. Waits for the end of the connection if `Connection: close` announces it. */
export async function exchangeRaw(url: string, text: string): Promise<RawResponse> {
  const connection = await openRaw(url);
  connection.write(text);
  const response = await connection.response();
  if (response.headers.get('connection') === 'close') await connection.closed;
  connection.destroy();
  return response;
}

function responsesIn(text: string, ended: boolean): RawResponse[] {
  const found: RawResponse[] = [];
  let unread = text;
  for (;;) {
    const headEnd = unread.indexOf('\r\n\r\n');
    const [, version = '', status = ''] = /^HTTP\/(\d\.\d) (\d{3}) /.exec(unread) ?? [];
    if (headEnd === -1 || version === '') return found;
    const headers = new Map(
      unread
        .slice(0, headEnd)
        .split('\r\n')
        .slice(1)
        .map((line) => [
          line.slice(0, line.indexOf(':')).toLowerCase(),
          line.slice(line.indexOf(':') + 1).trim(),
        ]),
    );
    unread = unread.slice(headEnd + 4);
    if (status.startsWith('1') && status !== '101') continue;
    const body = bodyIn(unread, headers, Number(status), ended);
    if (body === null) return found;
    found.push({ status: Number(status), version, headers, body: body.text });
    unread = unread.slice(body.length);
  }
}

/** The body at the start of `unread`; null if it is not complete. */
function bodyIn(
  unread: string,
  headers: ReadonlyMap<string, string>,
  status: number,
  ended: boolean,
): { text: string; length: number } | null {
  if (status === 101 || status === 204 || status === 304) return { text: '', length: 0 };
  const length = headers.get('content-length');
  if (length !== undefined) {
    const text = unread.slice(0, Number(length));
    return text.length === Number(length) ? { text, length: text.length } : null;
  }
  if (headers.get('transfer-encoding') === 'chunked') return chunkedIn(unread);
  return ended ? { text: unread, length: unread.length } : null;
}

function chunkedIn(unread: string): { text: string; length: number } | null {
  let text = '';
  let at = 0;
  for (;;) {
    const lineEnd = unread.indexOf('\r\n', at);
    if (lineEnd === -1) return null;
    const size = Number.parseInt(unread.slice(at, lineEnd), 16);
    const end = lineEnd + 2 + size + 2;
    if (unread.length < end) return null;
    text += unread.slice(lineEnd + 2, lineEnd + 2 + size);
    at = end;
    if (size === 0) return { text, length: at };
  }
}
