import type { Socket } from 'node:net';
import { problemMedia, problemTitles } from './problem-schema.ts';

/**
 * Responds with a problem to a request that Node's HTTP parser rejects: headers too large (431), request too slow
 * (408), request malformed (400). For private listeners. The gateway has its own function, because its responses also
 * need limit headers.
 */
export function answerClientError(error: Error & { code?: string }, socket: Socket): void {
  if (error.code === 'ECONNRESET' || !socket.writable) {
    socket.destroy();
    return;
  }
  const [status, detail] = problemFor(error.code);
  const title = problemTitles[status] ?? '';
  const body = JSON.stringify({ type: 'about:blank', title, status, detail });
  socket.end(
    `HTTP/1.1 ${status} ${title}\r\ncontent-type: ${problemMedia}\r\n` +
      `content-length: ${Buffer.byteLength(body)}\r\nconnection: close\r\n\r\n${body}`,
  );
}

function problemFor(code: string | undefined): [number, string] {
  switch (code) {
    case 'HPE_HEADER_OVERFLOW':
      return [431, 'The request headers are too large.'];
    case 'ERR_HTTP_REQUEST_TIMEOUT':
      return [408, 'The request did not arrive in time.'];
    default:
      return [400, 'This is not a readable HTTP request.'];
  }
}
