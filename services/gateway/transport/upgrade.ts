import { ServerResponse } from 'node:http';
import type { IncomingMessage, Server } from 'node:http';
import type { Socket } from 'node:net';
import { connectionOf } from './connection.ts';

/** What a request that asks for another protocol needs beside the request: its connection. */
export interface Upgrade {
  readonly socket: Socket;
  /** What the client has sent behind its request already. */
  readonly head: Buffer;
}

const upgradeKey = Symbol('tollgate.upgrade');

interface Upgrading extends IncomingMessage {
  [upgradeKey]?: Upgrade;
}

/**
 * The opening handshake of RFC 6455. Other upgrades are not taken up, nor any of HTTP/1.0 (RFC 9110, 7.8): such a request is
 * served as it is.
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
 * Has an upgrade served like any other request, with a response of its own: it is identified, decided about and
 * refused by the same code. Where the protocol is switched the socket is used directly; see `upgradeOf`.
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

/** From now on the connection carries another protocol: bounds of requests and responses no longer hold. */
export function markUpgraded(socket: Socket): void {
  const connection = connectionOf(socket);
  if (connection === undefined) return;
  connection.request = null;
}
