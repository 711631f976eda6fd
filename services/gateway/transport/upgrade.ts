import { ServerResponse } from 'node:http';
import type { IncomingMessage, Server } from 'node:http';
import type { Socket } from 'node:net';
import { connectionOf } from './connection.ts';

/** The connection on which a client requests another protocol. */
export interface Upgrade {
  readonly socket: Socket;
  /** Bytes that the client sent directly after its request. */
  readonly head: Buffer;
}

const upgradeKey = Symbol('tollgate.upgrade');

interface Upgrading extends IncomingMessage {
  [upgradeKey]?: Upgrade;
}

/**
 * True for the opening handshake of a WebSocket (RFC 6455, 4.1). An `Upgrade` to another protocol, and any `Upgrade` in
 * HTTP/1.0, is ignored (RFC 9110, 7.8): the request is served like a request without it.
 */
export function isWebSocketHandshake({ method, headers, httpVersion }: IncomingMessage): boolean {
  return (
    method === 'GET' &&
    httpVersion !== '1.0' &&
    headers.upgrade?.toLowerCase() === 'websocket' &&
    headers['transfer-encoding'] === undefined &&
    Number(headers['content-length'] ?? 0) === 0
  );
}

/**
 * Passes an upgrade request to the server as an ordinary request with a response, so that the same code identifies its
 * caller, decides about it and refuses it. To switch protocols, the handler uses the socket directly; see `upgradeOf`.
 */
export function serveUpgrade(server: Server, request: Upgrading, socket: Socket, head: Buffer): void {
  socket.on('error', () => socket.destroy());
  const response = new ServerResponse(request);
  response.shouldKeepAlive = false;
  response.assignSocket(socket);
  response.on('finish', () => socket.destroySoon());
  request[upgradeKey] = { socket, head };
  server.emit('request', request, response);
}

export function upgradeOf(request: Upgrading): Upgrade | null {
  return request[upgradeKey] ?? null;
}

/** Detaches the request from its connection, because the bounds of requests do not apply to the new protocol. */
export function markUpgraded(socket: Socket): void {
  const connection = connectionOf(socket);
  if (connection === undefined) return;
  connection.request = null;
}
