import { createServer } from 'node:http';
import type { IncomingMessage, RequestListener, Server } from 'node:http';
import { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { Enforcer } from '../enforcer/enforcer.ts';
import { boundConnections } from './admission.ts';
import type { TransportBounds } from './bounds.ts';
import { answerClientError } from './client-error.ts';
import { afterResponse, trackConnections } from './connection.ts';
import { holdContinue } from './expectation.ts';
import { allowHalfClose } from './half-close.ts';
import { lingerOnClose } from './linger.ts';
import { keepPace } from './pace.ts';
import { answerOnSocket } from './socket-answer.ts';
import { isWebSocketHandshake, serveUpgrade } from './upgrade.ts';

export const headerBytesMax = 16_384;
const keepAliveTimeoutMs = 72_000;

export const allowedMethods = 'GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS';

/**
 * The HTTP server of a listener. Node answers some requests by itself, without a word of limits: malformed ones, a
 * missing Host, expectations, CONNECT. Here all of those are answered by Tollgate, so that every response carries the
 * limit headers and has its event, and is charged to its address.
 */
export function createListener(
  enforcer: Enforcer,
  entrypoint: string,
  bounds: TransportBounds,
  serve: RequestListener,
  upgrades: boolean,
): Server {
  const server = createServer(
    {
      maxHeaderSize: headerBytesMax,
      headersTimeout: bounds.headersTimeoutMs,
      connectionsCheckingInterval: Math.ceil(bounds.headersTimeoutMs / 4),
      keepAliveTimeout: keepAliveTimeoutMs,
      // Bodies are bounded by the minimum rate and the deadline of `pace.ts`.
      requestTimeout: 0,
      requireHostHeader: false,
      shouldUpgradeCallback: (request) => upgrades && isWebSocketHandshake(request),
    },
    serve,
  );
  // Those beyond a maximum would be dropped unseen; the size of the section bounds their number.
  server.maxHeadersCount = 0;
  const { connectionsEnded } = enforcer.metrics;
  boundConnections(server, enforcer, entrypoint, bounds, () =>
    connectionsEnded.inc({ entrypoint, reason: 'refused' }),
  );
  const connections = trackConnections(server);
  const pace = keepPace(connections, bounds, (reason) => connectionsEnded.inc({ entrypoint, reason }));
  server.on('close', () => pace.close());
  holdContinue(server);
  server.on('connection', lingerOnClose);
  allowHalfClose(server);
  server.on('clientError', (error, socket) =>
    answerClientError(enforcer, entrypoint, error, asSocket(socket)),
  );
  server.on('upgrade', (request, stream, head) => {
    const socket = asSocket(stream);
    afterResponse(socket, () => serveUpgrade(server, request, socket, head));
  });
  server.on('connect', (request, socket) => refuseConnect(enforcer, entrypoint, request, asSocket(socket)));
  return server;
}

/** A gateway stands before one API: it opens no tunnels. */
function refuseConnect(
  enforcer: Enforcer,
  entrypoint: string,
  request: IncomingMessage,
  socket: Socket,
): void {
  const fault = { status: 405, detail: 'CONNECT is not served here.', allow: allowedMethods };
  const { method = '', url = '' } = request;
  Promise.resolve(enforcer.identify(request.headers, socket.remoteAddress ?? ''))
    .then((who) => {
      afterResponse(socket, () => answerOnSocket(enforcer, entrypoint, socket, { who, method, url, fault }));
    })
    .catch(() => socket.destroy());
}

/** Node's types leave room for servers on other streams. */
function asSocket(stream: Duplex): Socket {
  if (stream instanceof Socket) return stream;
  throw new TypeError('A listener serves sockets only.');
}
