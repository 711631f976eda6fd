import { createServer } from 'node:http';
import type { IncomingMessage, RequestListener, Server } from 'node:http';
import { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { Gate } from '../gate.ts';
import { answerClientError } from './client-error.ts';
import { afterResponse, trackConnections } from './connection.ts';
import { holdContinue } from './expectation.ts';
import { lingerOnClose } from './linger.ts';
import { answerOnSocket } from './socket-answer.ts';

export const headerBytesMax = 16_384;
/** Until a client has sent the headers of a request. */
const headersTimeoutMs = 20_000;
const headersCheckIntervalMs = 5_000;
const keepAliveTimeoutMs = 72_000;

export const allowedMethods = 'GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS';

/**
 * The HTTP server of a listener. Node answers some requests by itself, without a word of limits: malformed ones, a
 * missing Host, expectations, CONNECT. Here all of those are answered by Tollgate, so that every response carries the
 * limit headers and has its event.
 */
export function createListener(gate: Gate, door: string, serve: RequestListener): Server {
  const server = createServer(
    {
      maxHeaderSize: headerBytesMax,
      headersTimeout: headersTimeoutMs,
      connectionsCheckingInterval: headersCheckIntervalMs,
      keepAliveTimeout: keepAliveTimeoutMs,
      // Bodies are bounded by the minimum rate and the deadline of `pace.ts`.
      requestTimeout: 0,
      requireHostHeader: false,
    },
    serve,
  );
  // Those beyond a maximum would be dropped unseen; the size of the section bounds their number.
  server.maxHeadersCount = 0;
  trackConnections(server);
  holdContinue(server);
  server.on('connection', lingerOnClose);
  server.on('clientError', (error, socket) => answerClientError(gate, door, error, asSocket(socket)));
  server.on('connect', (request, socket) => refuseConnect(gate, door, request, asSocket(socket)));
  return server;
}

/** A gateway stands before one API: it opens no tunnels. */
function refuseConnect(gate: Gate, door: string, request: IncomingMessage, socket: Socket): void {
  const fault = { status: 405, detail: 'CONNECT is not served here.', allow: allowedMethods };
  const { method = '', url = '' } = request;
  Promise.resolve(gate.identify(request.headers, socket.remoteAddress ?? ''))
    .then((who) => {
      afterResponse(socket, () => answerOnSocket(gate, door, socket, { who, method, url, fault }));
    })
    .catch(() => socket.destroy());
}

/** Node's types leave room for servers on other streams. */
function asSocket(stream: Duplex): Socket {
  if (stream instanceof Socket) return stream;
  throw new TypeError('A listener serves sockets only.');
}
