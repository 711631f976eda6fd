import type { Server, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { connectionOf } from './connection.ts';
import { upgradeOf } from './upgrade.ts';

/** Delay of the first probe: most responses begin sooner and need none. */
const firstProbeMs = 100;
/** Delay of the second probe. If the client has disconnected, the first write provokes a reset and the second one fails. */
const secondProbeMs = 25;
const nextProbeMs = 5_000;
/** A response that sends no byte for this long after its client has ended its side counts as not read. */
const stillMsMax = 500;

/** Not in Node's types. Without this flag a server ends a connection when the client ends its side. */
interface HalfOpenServer extends Server {
  httpAllowHalfOpen?: boolean;
}

/** Not in Node's types: the response that Node is sending on this socket. */
interface ServingSocket extends Socket {
  _httpMessage?: ServerResponse | null;
}

/**
 * Lets a client that has ended its side of the connection still read its response. TCP cannot distinguish such a client from
 * a disconnected one until something is written to it. A request that waits for the upstream is therefore probed with
 * `100 Continue`, which every client of HTTP/1.1 ignores (RFC 9110, 15.2). A response that has begun leaves no room for a
 * probe: if it sends no byte for `stillMsMax` it is cut, even though the client might have gone on reading.
 */
export function allowHalfClose(server: HalfOpenServer): void {
  server.httpAllowHalfOpen = true;
  server.on('connection', (socket: Socket) => socket.once('end', onEnd));
}

function onEnd(this: Socket): void {
  const { request = null, response = null } = connectionOf(this) ?? {};
  // Node ends a connection without a pending response, and the relay ends a WebSocket.
  if (request === null || response === null || response.closed || upgradeOf(request) !== null) return;
  if (response.headersSent) cutWhereStill(this, response);
  else probe(this, response, request.httpVersionMinor > 0, firstProbeMs);
}

/** Probes until the last response of the connection begins: writing that response shows whether the client is connected. */
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
  const timer = setTimeout(() => {
    if (response.writableEnded || response.closed) return;
    if (socket.bytesWritten === bytesWritten && socket.writableLength === 0) socket.destroy();
    else cutWhereStill(socket, response);
  }, stillMsMax);
  response.once('close', () => clearTimeout(timer));
}
