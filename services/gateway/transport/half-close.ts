import type { Server, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { connectionOf } from './connection.ts';
import { upgradeOf } from './upgrade.ts';

/** Delay of the first probe. Most responses begin sooner and need no probe. */
const firstProbeMs = 100;
/**
 * Delay of the second probe. If the client has disconnected, the first probe makes it send a reset, and the second
 * probe fails.
 */
const secondProbeMs = 25;
const nextProbeMs = 5_000;
/** If the client has ended its side and the response sends no byte for this long, the client counts as disconnected. */
const stillMsMax = 500;
/** If the timer runs this late, this process stood still: bytes of the response may have arrived and be unread. */
const lateMsMax = 100;

/**
 * A flag of Node's server that Node's types lack. Without the flag, the server ends a connection when the client ends
 * its side.
 */
interface HalfOpenServer extends Server {
  httpAllowHalfOpen?: boolean;
}

/** A property of Node's sockets that Node's types lack: the response that is being sent on the socket. */
interface ServingSocket extends Socket {
  _httpMessage?: ServerResponse | null;
}

/**
 * Lets a client that has ended its side of the connection (half-close) still read its response. TCP can distinguish
 * this client from a disconnected one only when something is written to it. While a request waits for the upstream, the
 * gateway therefore probes the client by sending `100 Continue`, which every HTTP/1.1 client ignores (RFC 9110, 15.2).
 * After a response has begun, no probe can be sent: if the response then sends no byte for `stillMsMax`, the connection
 * is closed, although the client might still have read it.
 */
export function allowHalfClose(server: HalfOpenServer): void {
  server.httpAllowHalfOpen = true;
  server.on('connection', (socket: Socket) => socket.once('end', onEnd));
}

function onEnd(this: Socket): void {
  const { request = null, response = null } = connectionOf(this) ?? {};
  // Without a pending response, Node itself ends the connection; the connection of a WebSocket is ended by
  // its relay.
  if (request === null || response === null || response.closed || upgradeOf(request) !== null) return;
  if (response.headersSent) cutWhereStill(this, response);
  else probe(this, response, request.httpVersionMinor > 0, firstProbeMs);
}

/**
 * Sends probes until the last response of the connection begins. Writing this response then shows whether the client is
 * connected.
 */
function probe(
  socket: ServingSocket,
  response: ServerResponse,
  takesInterim: boolean,
  afterMs: number,
): void {
  const timer = setTimeout(() => {
    if (response.headersSent || response.closed) return;
    const current = socket._httpMessage ?? null;
    if (takesInterim && current?.headersSent === false) current.writeContinue();
    probe(socket, response, takesInterim, afterMs === secondProbeMs ? nextProbeMs : secondProbeMs);
  }, afterMs);
  response.once('close', () => clearTimeout(timer));
}

function cutWhereStill(socket: Socket, response: ServerResponse): void {
  const { bytesWritten } = socket;
  const dueAtMs = performance.now() + stillMsMax;
  const timer = setTimeout(() => {
    if (response.writableEnded || response.closed) return;
    const isLate = performance.now() - dueAtMs > lateMsMax;
    const isStill = socket.bytesWritten === bytesWritten && socket.writableLength === 0;
    if (isStill && !isLate) socket.destroy();
    else cutWhereStill(socket, response);
  }, stillMsMax);
  response.once('close', () => clearTimeout(timer));
}
