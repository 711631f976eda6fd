import type { IncomingMessage, Server, ServerResponse } from 'node:http';

const awaitingKey = Symbol('tollgate.awaitingContinue');

interface Expecting extends IncomingMessage {
  [awaitingKey]?: boolean;
}

/**
 * Leaves `100 Continue` to whoever decides: Node would send it before anybody has looked at the request. Requests with
 * other expectations come through as well, and are refused like other faulty ones.
 */
export function holdContinue(server: Server): void {
  // A server that answers expectations itself goes on doing so.
  if (server.listenerCount('checkContinue') > 0) return;
  server.on('checkContinue', (request: Expecting, response: ServerResponse) => {
    request[awaitingKey] = true;
    server.emit('request', request, response);
  });
  server.on('checkExpectation', (request: IncomingMessage, response: ServerResponse) => {
    server.emit('request', request, response);
  });
}

/** True while the client waits to be told to send its body. */
export function awaitsContinue(request: Expecting): boolean {
  return request[awaitingKey] === true;
}

/** Asks for the body, where the client waits for that. */
export function sendContinue(request: Expecting, response: ServerResponse): void {
  if (request[awaitingKey] !== true) return;
  request[awaitingKey] = false;
  response.writeContinue();
}

/** Bodies that nobody wants are read to their end up to this size, so that the connection can be used again. */
const skippedBytesMax = 65_536;

/** A client that was told to wait before it sends its body may send none, and a long body is not worth reading. */
export function bodyEndsSoon(request: IncomingMessage): boolean {
  if (request.complete) return true;
  const { expect, 'content-length': length, 'transfer-encoding': coding } = request.headers;
  return expect === undefined && coding === undefined && Number(length ?? 0) <= skippedBytesMax;
}
