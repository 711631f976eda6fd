import type { Socket } from 'node:net';
import type { Enforcer } from '../enforcer/enforcer.ts';
import type { Fault } from './fault.ts';
import { afterResponse, connectionOf, failRequest } from './connection.ts';
import { discard } from './linger.ts';
import { answerOnSocket, unknownRequest } from './socket-answer.ts';

export interface ClientError extends Error {
  readonly code?: string;
  readonly reason?: string;
}

const answered = new WeakSet<Socket>();

/**
 * Answers what Node's parser gave up on. Where the error is in the body of a request under way, that request gets the
 * answer; where responses to earlier requests of the connection are still on their way, the answer follows them.
 */
export function answerClientError(
  enforcer: Enforcer,
  entrypoint: string,
  error: ClientError,
  socket: Socket,
): void {
  if (answered.has(socket)) return;
  if (error.code === 'ECONNRESET' || !socket.writable || hasLeft(error, socket)) {
    socket.destroy();
    return;
  }
  answered.add(socket);
  discard(socket);
  const fault = faultOf(error);
  const connection = connectionOf(socket);
  if (connection?.request?.complete === false) failRequest(connection, fault);
  else
    afterResponse(socket, () => {
      if (socket.writable)
        answerOnSocket(enforcer, entrypoint, socket, unknownRequest(enforcer, socket, fault));
    });
}

/** The end of a connection in the middle of a body: nobody waits for an answer. */
function hasLeft({ code }: ClientError, socket: Socket): boolean {
  return code === 'HPE_INVALID_EOF_STATE' && connectionOf(socket)?.request?.complete === false;
}

/** By the codes of llhttp. */
function faultOf({ code, reason }: ClientError): Fault {
  switch (code) {
    case 'HPE_HEADER_OVERFLOW':
      return { status: 431, detail: 'The request headers are larger than 16384 bytes.' };
    case 'HPE_CHUNK_EXTENSIONS_OVERFLOW':
      return { status: 413, detail: 'The chunk extensions of the body are too long.' };
    case 'ERR_HTTP_REQUEST_TIMEOUT':
      return { status: 408, detail: 'The request did not arrive in time.' };
    case 'HPE_PAUSED_H2_UPGRADE':
      return { status: 505, detail: 'Only HTTP/1.0 and HTTP/1.1 are served here.' };
    case 'HPE_INVALID_VERSION':
      if (reason === 'Invalid HTTP version') {
        return { status: 505, detail: 'Only HTTP/1.0 and HTTP/1.1 are served here.' };
      }
      return malformed(reason);
    default:
      return malformed(reason);
  }
}

function malformed(reason: string | undefined): Fault {
  const what = 'This is not a readable HTTP request';
  return { status: 400, detail: reason === undefined ? `${what}.` : `${what}: ${reason}.` };
}
