import type { Server, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { connectionOf } from './connection.ts';
import { upgradeOf } from './upgrade.ts';

/** First a short wait, since most answers come at once. */
const firstProbeMs = 100;
/** Then at once again: it is the second write that fails where the client has left. */
const againMs = 25;
const nextProbeMs = 5_000;
/** A response that stands still for so long when its client has ended the connection is one that is not read. */
const stillMsMax = 500;

/** Not in Node's types: without it a server ends a connection whose client has ended its side. */
interface HalfOpenServer extends Server {
  httpAllowHalfOpen?: boolean;
}

/** Not in Node's types: the response whose turn it is. */
interface ServingSocket extends Socket {
  _httpMessage?: ServerResponse | null;
}

/**
 * Lets a client that has ended its side of the connection read its answer. TCP says the same of one that has left, until
 * something is written to it. So what waits for the upstream is probed by `100 Continue`, which every client of HTTP/1.1
 * skips. In a response under way nothing can be written beside it: one that stands still when its client ends the connection
 * is cut, also where the client would have read on.
 */
export function allowHalfClose(server: HalfOpenServer): void {
  server.httpAllowHalfOpen = true;
  server.on('connection', (socket: Socket) => socket.once('end', onEnd));
}

function onEnd(this: Socket): void {
  const { request = null, response = null } = connectionOf(this) ?? {};
  // Without a response under way Node ends the connection; a WebSocket ends itself.
  if (request === null || response === null || response.closed || upgradeOf(request) !== null) return;
  if (response.headersSent) cutWhereStill(this, response);
  else probe(this, response, request.httpVersionMinor > 0, firstProbeMs);
}

/** Until the last response of the connection begins: what is written then shows whether the client is there. */
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
    probe(socket, response, takesInterim, afterMs === againMs ? nextProbeMs : againMs);
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
