import { Socket } from 'node:net';
import { connectionOf } from './connection.ts';

/** Bounds of the bytes and the time for which input is discarded after the last response of a connection. */
const discardBytesMax = 16 * 1024 * 1024;
const discardMsMax = 5_000;

/**
 * Lets a client read its response although the client is still sending. Closing a socket with unread input resets the
 * connection, and the reset may destroy the response before the client reads it (RFC 9112, 9.6). The hook is
 * `destroySoon`, which Node calls after the last response of a connection.
 */
export function lingerOnClose(socket: Socket): void {
  socket.destroySoon = destroyOnceRead;
}

function destroyOnceRead(this: Socket): void {
  if (connectionOf(this)?.request?.complete !== false) Socket.prototype.destroySoon.call(this);
  else endAndDiscard(this);
}

/** Ends the gateway's side of the connection and discards input until the client ends its side. */
export function endAndDiscard(socket: Socket): void {
  discard(socket);
  const timer = setTimeout(() => socket.destroy(), discardMsMax);
  socket.once('close', () => clearTimeout(timer));
  socket.once('end', () => socket.destroy());
  socket.end();
}

/** Detaches the socket from the HTTP parser and discards its further input, up to `discardBytesMax`. */
export function discard(socket: Socket): void {
  let bytes = 0;
  socket.removeAllListeners('data');
  socket.on('data', (chunk: Buffer) => {
    bytes += chunk.length;
    if (bytes > discardBytesMax) socket.destroy();
  });
  socket.on('error', () => socket.destroy());
  socket.resume();
}
