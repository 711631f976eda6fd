import { once } from 'node:events';
import { connect } from 'node:net';
import { eventually } from '../../../support/servers.ts';

/** A connection on which a test writes bytes of its own, and what came back. */
export interface RawConnection {
  write(text: string): void;
  readonly text: () => string;
  /** What has been answered so far, in order. */
  readonly responses: () => RawResponse[];
  /** Resolves with the response at this position, once all of it is here. */
  response(index?: number): Promise<RawResponse>;
  readonly closed: Promise<unknown>;
  /** Half-closes: nothing more is sent. */
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

/** `localAddress`: the client's own, where a test needs several. */
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
  const closed = once(socket, 'close').then(() => (ended = true));
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

/** Sends one text, and waits for the first answer and for the end of the connection where one is announced. */
export async function exchangeRaw(url: string, text: string): Promise<RawResponse> {
  const connection = await openRaw(url);
  connection.write(text);
  const response = await connection.response();
  if (response.headers.get('connection') === 'close') await connection.closed;
  connection.destroy();
  return response;
}

/** Interim responses are left out. */
function responsesIn(text: string, ended: boolean): RawResponse[] {
  const found: RawResponse[] = [];
  let rest = text;
  for (;;) {
    const headEnd = rest.indexOf('\r\n\r\n');
    const [, version = '', status = ''] = /^HTTP\/(\d\.\d) (\d{3}) /.exec(rest) ?? [];
    if (headEnd === -1 || version === '') return found;
    const headers = new Map(
      rest
        .slice(0, headEnd)
        .split('\r\n')
        .slice(1)
        .map((line) => [
          line.slice(0, line.indexOf(':')).toLowerCase(),
          line.slice(line.indexOf(':') + 1).trim(),
        ]),
    );
    rest = rest.slice(headEnd + 4);
    if (status.startsWith('1') && status !== '101') continue;
    const body = bodyIn(rest, headers, Number(status), ended);
    if (body === null) return found;
    found.push({ status: Number(status), version, headers, body: body.text });
    rest = rest.slice(body.length);
  }
}

function bodyIn(
  rest: string,
  headers: ReadonlyMap<string, string>,
  status: number,
  ended: boolean,
): { text: string; length: number } | null {
  if (status === 101 || status === 204 || status === 304) return { text: '', length: 0 };
  const length = headers.get('content-length');
  if (length !== undefined) {
    const text = rest.slice(0, Number(length));
    return text.length === Number(length) ? { text, length: text.length } : null;
  }
  if (headers.get('transfer-encoding') === 'chunked') return chunkedIn(rest);
  return ended ? { text: rest, length: rest.length } : null;
}

function chunkedIn(rest: string): { text: string; length: number } | null {
  let text = '';
  let at = 0;
  for (;;) {
    const lineEnd = rest.indexOf('\r\n', at);
    if (lineEnd === -1) return null;
    const size = Number.parseInt(rest.slice(at, lineEnd), 16);
    const end = lineEnd + 2 + size + 2;
    if (rest.length < end) return null;
    text += rest.slice(lineEnd + 2, lineEnd + 2 + size);
    at = end;
    if (size === 0) return { text, length: at };
  }
}
