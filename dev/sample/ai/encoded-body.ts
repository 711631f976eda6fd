import type { IncomingMessage, ServerResponse } from 'node:http';
import { once } from 'node:events';
import type { Writable } from 'node:stream';
import { constants, createBrotliCompress, createGzip } from 'node:zlib';

/**
 * Begins a response and returns the stream for its body: compressed if the client accepts br or gzip. Each write is
 * flushed, so that the events of a stream reach the client one by one.
 */
export function beginBody(
  request: IncomingMessage,
  response: ServerResponse,
  status: number,
  headers: Readonly<Record<string, string>>,
): Writable {
  const accepted = request.headers['accept-encoding'] ?? '';
  const coding = /\bbr\b/.test(accepted) ? 'br' : /\bgzip\b/.test(accepted) ? 'gzip' : null;
  response.writeHead(status, {
    ...headers,
    vary: 'accept-encoding',
    ...(coding === null ? {} : { 'content-encoding': coding }),
  });
  if (coding === null) return response;
  const compressor =
    coding === 'br'
      ? createBrotliCompress({
          flush: constants.BROTLI_OPERATION_FLUSH,
          params: { [constants.BROTLI_PARAM_QUALITY]: 1 },
        })
      : createGzip({ flush: constants.Z_SYNC_FLUSH });
  compressor.pipe(response);
  response.once('close', () => compressor.destroy());
  return compressor;
}

/** Writes a text, in pieces of `pieceBytes` if that is not null, and waits while the client reads slower. */
export async function writeBody(body: Writable, text: string, pieceBytes: number | null): Promise<void> {
  const bytes = Buffer.from(text);
  const step = pieceBytes === null || pieceBytes === 0 ? Math.max(bytes.length, 1) : pieceBytes;
  for (let start = 0; start < bytes.length; start += step) {
    if (body.destroyed) return;
    if (!body.write(bytes.subarray(start, start + step)))
      await Promise.race([once(body, 'drain'), once(body, 'close')]);
    // The next piece is written in a later event-loop iteration, so that pieces are not joined to one packet.
    if (pieceBytes !== null) await new Promise((resolve) => setImmediate(resolve));
  }
}
