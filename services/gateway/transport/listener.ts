import { createServer } from 'node:http';
import type { IncomingMessage, RequestListener, Server } from 'node:http';
import { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { startAtZero } from '../../../shared/runtime/zero-counters.ts';
import type { Enforcer } from '../enforcer/enforcer.ts';
import { boundConnections } from './admission.ts';
import type { TransportBounds } from './bounds.ts';
import { respondToClientError } from './client-error.ts';
import { afterResponse, trackConnections } from './connection.ts';
import { holdContinue } from './expectation.ts';
import { allowHalfClose } from './half-close.ts';
import { lingerOnClose } from './linger.ts';
import { keepPace, slownesses } from './pace.ts';
import { respondOnSocket } from './socket-response.ts';
import { isWebSocketHandshake, serveUpgrade } from './upgrade.ts';

export const headerBytesMax = 16_384;
const keepAliveTimeoutMs = 72_000;

export const allowedMethods = 'GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS';

/**
 * The HTTP server of a listener. By default Node itself responds to malformed requests, a missing Host, expectations and
 * CONNECT. Here Tollgate responds to them, so that each of these responses has the limit headers and an event, and each
 * of these requests is charged to its address.
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
      // Node's own timeout of the request is off, because the minimum rate and the deadline in `pace.ts`
      // bound the body.
      requestTimeout: 0,
      requireHostHeader: false,
      shouldUpgradeCallback: (request) => upgrades && isWebSocketHandshake(request),
    },
    serve,
  );
  // Node's maximum number of headers is off, because Node silently drops the headers above this number.
  // `maxHeaderSize` bounds the size of all headers instead.
  server.maxHeadersCount = 0;
  const { connectionsEnded } = enforcer.metrics;
  startAtZero(connectionsEnded, { entrypoint: [entrypoint], reason: ['refused', ...slownesses] });
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
    respondToClientError(enforcer, entrypoint, error, asSocket(socket)),
  );
  server.on('upgrade', (request, stream, head) => {
    const socket = asSocket(stream);
    afterResponse(socket, () => serveUpgrade(server, request, socket, head));
  });
  server.on('connect', (request, socket) => refuseConnect(enforcer, entrypoint, request, asSocket(socket)));
  return server;
}

/** Responds to CONNECT with 405: the gateway opens no tunnels. */
function refuseConnect(
  enforcer: Enforcer,
  entrypoint: string,
  request: IncomingMessage,
  socket: Socket,
): void {
  const fault = { status: 405, detail: 'CONNECT is not served here.', allow: allowedMethods };
  const { method = '', url = '' } = request;
  Promise.resolve(enforcer.identify(request.headers, socket.remoteAddress ?? ''))
    .then((caller) => {
      afterResponse(socket, () =>
        respondOnSocket(enforcer, entrypoint, socket, { caller, method, url, fault }),
      );
    })
    .catch(() => socket.destroy());
}

/** Narrows the type of the stream: Node's type allows streams that are no sockets. */
function asSocket(stream: Duplex): Socket {
  if (stream instanceof Socket) return stream;
  throw new TypeError('A listener serves sockets only.');
}
