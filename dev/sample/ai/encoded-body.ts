import type { IncomingMessage, ServerResponse } from 'node:http';
import { once } from 'node:events';
import { Readable } from 'node:stream';
import type { Writable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
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
  await writePieces(body, piecesOf(text, pieceBytes));
}

/**
 * Writes the last text and ends the response. The last piece and the end leave the process in one write: a client that
 * disconnects as soon as it has read the last event has then received the complete response.
 */
export async function endBody(
  response: ServerResponse,
  body: Writable,
  text: string,
  pieceBytes: number | null,
): Promise<void> {
  const pieces = piecesOf(text, pieceBytes);
  await writePieces(body, pieces.slice(0, -1));
  const last = pieces.at(-1);
  if (!(body instanceof Readable)) {
    body.end(last);
    return;
  }
  body.unpipe(response);
  body.end(last);
  if (!body.destroyed) response.end(await buffer(body));
}

async function writePieces(body: Writable, pieces: readonly Buffer[]): Promise<void> {
  for (const piece of pieces) {
    if (body.destroyed) return;
    if (!body.write(piece)) await Promise.race([once(body, 'drain'), once(body, 'close')]);
    // The next piece is written in a later event-loop iteration, so that pieces are not joined to one packet.
    await new Promise((resolve) => setImmediate(resolve));
  }
}

function piecesOf(text: string, pieceBytes: number | null): readonly Buffer[] {
  const bytes = Buffer.from(text);
  const step = pieceBytes === null || pieceBytes === 0 ? Math.max(bytes.length, 1) : pieceBytes;
  const pieces: Buffer[] = [];
  for (let start = 0; start < bytes.length; start += step) pieces.push(bytes.subarray(start, start + step));
  return pieces;
}
