import type { OutgoingHttpHeaders, ServerResponse } from 'node:http';

export interface HoldOptions {
  /** Called once before the response headers are written; may still set header fields. */
  readonly onHeaders: () => void;
  /** Called once with the status, before the first byte is sent. The response is sent when the promise resolves. */
  readonly untilSent: (status: number) => Promise<void>;
}

type Write = (chunk?: unknown, ...rest: unknown[]) => boolean;
type End = (chunk?: unknown, ...rest: unknown[]) => ServerResponse;
type WriteHead = (status: number, ...rest: unknown[]) => ServerResponse;

/**
 * Delays the first byte of a response until `untilSent` resolves, whatever the application calls: `end`, `write`,
 * `pipe`, `writeHead` or `flushHeaders`. Meanwhile the calls are queued in their order. `headersSent` is true as soon
 * as the application has begun to respond, as without the delay.
 */
export function holdResponse(response: ServerResponse, options: HoldOptions): void {
  const write = response.write.bind(response) as Write;
  const end = response.end.bind(response) as End;
  const writeHead = response.writeHead.bind(response) as unknown as WriteHead;
  const flushHeaders = response.flushHeaders.bind(response);
  /** The calls that wait; null after the response was released. */
  let queue: (() => void)[] | null = null;
  let isReleased = false;
  let hasHeaders = false;

  response.writeHead = (status: number, ...rest: unknown[]) => {
    if (!hasHeaders) {
      hasHeaders = true;
      setFields(response, rest.at(-1));
      response.statusCode = status;
      options.onHeaders();
    }
    return writeHead(status, ...rest);
  };

  response.flushHeaders = () => {
    if (isReleased) flushHeaders();
    else hold(flushHeaders);
  };

  response.write = ((...args: unknown[]) => {
    if (isReleased) return write(...args);
    hold(() => void write(...args));
    // The stream that is piped into the response waits for `drain`.
    return false;
  }) as typeof response.write;

  response.end = ((...args: unknown[]) => {
    if (isReleased) return end(...args);
    if (queue === null) setLength(response, args);
    hold(() => void end(...args));
    return response;
  }) as typeof response.end;

  function hold(call: () => void): void {
    if (queue !== null) {
      queue.push(call);
      return;
    }
    queue = [call];
    // The headers are stored now, so that `headersSent` is true and a later `setHeader` throws.
    if (!response.headersSent) response.writeHead(response.statusCode);
    void options.untilSent(response.statusCode).then(release);
  }

  function release(): void {
    const calls = queue ?? [];
    isReleased = true;
    for (const call of calls) call();
    if (!response.writableEnded && !response.writableNeedDrain) response.emit('drain');
  }
}

/** Sets the fields that were passed to `writeHead` as an object, so that `onHeaders` can read them. */
function setFields(response: ServerResponse, fields: unknown): void {
  if (typeof fields !== 'object' || fields === null || Array.isArray(fields)) return;
  for (const [name, value] of Object.entries(fields as OutgoingHttpHeaders)) {
    if (value !== undefined) response.setHeader(name, value);
  }
}

/**
 * Sets `Content-Length` if the complete body is passed to `end`. Node does this itself only if the headers are written
 * by `end`, and `hold` writes them earlier.
 */
function setLength(response: ServerResponse, [chunk, encoding]: readonly unknown[]): void {
  const { statusCode, req: request } = response;
  if (request.method === 'HEAD') return;
  if (response.headersSent || statusCode < 200 || statusCode === 204 || statusCode === 304) return;
  if (['content-length', 'transfer-encoding', 'trailer'].some((name) => response.hasHeader(name))) return;
  if (typeof chunk === 'string') {
    const code = typeof encoding === 'string' ? (encoding as BufferEncoding) : 'utf8';
    response.setHeader('content-length', Buffer.byteLength(chunk, code));
  } else if (chunk instanceof Uint8Array) response.setHeader('content-length', chunk.length);
  else response.setHeader('content-length', 0);
}
