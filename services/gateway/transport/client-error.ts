import type { Socket } from 'node:net';
import type { Enforcer } from '../enforcer/enforcer.ts';
import type { Fault } from './fault.ts';
import { afterResponse, connectionOf, failRequest } from './connection.ts';
import { discard } from './linger.ts';
import { respondOnSocket, unknownRequest } from './socket-response.ts';

export interface ClientError extends Error {
  readonly code?: string;
  readonly reason?: string;
}

/** Node may emit several errors for one socket; only the first gets a response. */
const responded = new WeakSet<Socket>();

/**
 * Responds to input that Node's HTTP parser rejected. An error in the body of a request becomes the response to that
 * request. Responses to earlier requests of the connection are sent first (RFC 9112, 9.3.2).
 */
export function respondToClientError(
  enforcer: Enforcer,
  entrypoint: string,
  error: ClientError,
  socket: Socket,
): void {
  if (responded.has(socket)) return;
  if (error.code === 'ECONNRESET' || !socket.writable || endedWithinBody(error, socket)) {
    socket.destroy();
    return;
  }
  responded.add(socket);
  discard(socket);
  const fault = faultOf(error);
  const connection = connectionOf(socket);
  if (connection?.request?.complete === false) failRequest(connection, fault);
  else
    afterResponse(socket, () => {
      if (socket.writable)
        respondOnSocket(enforcer, entrypoint, socket, unknownRequest(enforcer, socket, fault));
    });
}

/** True if the client ended its connection in the middle of a body. Such a client does not wait for a response. */
function endedWithinBody({ code }: ClientError, socket: Socket): boolean {
  return code === 'HPE_INVALID_EOF_STATE' && connectionOf(socket)?.request?.complete === false;
}

/** Maps the error codes of llhttp, Node's HTTP parser, to responses. */
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
