import { Socket } from 'node:net';
import { connectionOf } from './connection.ts';

/** What a client still sends after its answer is thrown away, this much and this long at most. */
const discardBytesMax = 16 * 1024 * 1024;
const discardMsMax = 5_000;

/**
 * Lets a client read its answer although it is still sending: closing a socket with unread bytes resets the
 * connection, and a reset overtakes the answer. Node calls `destroySoon` after the last response of a connection.
 */
export function lingerOnClose(socket: Socket): void {
  socket.destroySoon = destroyOnceRead;
}

function destroyOnceRead(this: Socket): void {
  if (connectionOf(this)?.request?.complete !== false) Socket.prototype.destroySoon.call(this);
  else endAndDiscard(this);
}

/** Ends the connection from this side; what comes from the other is thrown away until it ends too. */
export function endAndDiscard(socket: Socket): void {
  discard(socket);
  const timer = setTimeout(() => socket.destroy(), discardMsMax);
  socket.once('close', () => clearTimeout(timer));
  socket.once('end', () => socket.destroy());
  socket.end();
}

/** Takes the socket from the HTTP parser and throws away what arrives. */
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
