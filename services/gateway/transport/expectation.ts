import type { IncomingMessage, Server, ServerResponse } from 'node:http';

const awaitingKey = Symbol('tollgate.awaitingContinue');

interface Expecting extends IncomingMessage {
  [awaitingKey]?: boolean;
}

/**
 * Prevents Node from sending `100 Continue` before the decision about the request: `sendContinue` sends it later (RFC
 * 9110, 10.1.1). Requests with other expectations also reach the request handler, which refuses them with 417.
 */
export function holdContinue(server: Server): void {
  // The application that uses the plugin may have its own listener for expectations, which stays in force.
  if (server.listenerCount('checkContinue') > 0) return;
  server.on('checkContinue', (request: Expecting, response: ServerResponse) => {
    request[awaitingKey] = true;
    server.emit('request', request, response);
  });
  server.on('checkExpectation', (request: IncomingMessage, response: ServerResponse) => {
    server.emit('request', request, response);
  });
}

/** True if the client waits for `100 Continue` before it sends its body. */
export function awaitsContinue(request: Expecting): boolean {
  return request[awaitingKey] === true;
}

/** Sends `100 Continue` if the client waits for it. */
export function sendContinue(request: Expecting, response: ServerResponse): void {
  if (request[awaitingKey] !== true) return;
  request[awaitingKey] = false;
  response.writeContinue();
}

/** Up to this size, an unused body is read to its end, so that the connection can be reused. */
const skippedBytesMax = 65_536;

/**
 * True if the unread part of a request's body is short and will certainly arrive. This is not certain if the client
 * waits for `100 Continue`, because it may then send no body (RFC 9110, 10.1.1); and the length of a chunked body is
 * unknown.
 */
export function bodyEndsSoon(request: IncomingMessage): boolean {
  if (request.complete) return true;
  const { expect, 'content-length': length, 'transfer-encoding': coding } = request.headers;
  return expect === undefined && coding === undefined && Number(length ?? 0) <= skippedBytesMax;
}
