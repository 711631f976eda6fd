import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { Fault } from './fault.ts';

/** A request under way, as far as its connection is concerned. */
export interface Exchange {
  /** Answers with the fault where nothing was answered yet; else breaks the response off. */
  fail(fault: Fault): void;
  /** The response is over, or the client left. */
  leave(): void;
}

/** What is known of one TCP connection of a listener. Requests may be pipelined: these are the latest. */
export interface Connection {
  readonly socket: Socket;
  request: IncomingMessage | null;
  response: ServerResponse | null;
}

const connectionKey = Symbol('tollgate.connection');
const exchangeKey = Symbol('tollgate.exchange');

interface TrackedSocket extends Socket {
  [connectionKey]?: Connection;
}

interface TrackedResponse extends ServerResponse {
  [exchangeKey]?: Exchange;
}

/** Keeps a `Connection` for every socket of a server. A request costs two writes. */
export function trackConnections(server: Server): void {
  server.on('connection', (socket: TrackedSocket) => {
    socket[connectionKey] = { socket, request: null, response: null };
  });
  server.prependListener('request', (request, response) => {
    const connection = connectionOf(request.socket);
    if (connection === undefined) return;
    connection.request = request;
    connection.response = response;
  });
}

export function connectionOf(socket: TrackedSocket): Connection | undefined {
  return socket[connectionKey];
}

/** Whoever answers a request says so, so that its connection can end it. */
export function setExchange(response: TrackedResponse, exchange: Exchange): void {
  response[exchangeKey] = exchange;
}

export function exchangeOf(response: TrackedResponse): Exchange | undefined {
  return response[exchangeKey];
}

/** Calls when every response to earlier requests of the connection is over: answers keep the order of the requests. */
export function afterResponse(socket: Socket, answer: () => void): void {
  const response = connectionOf(socket)?.response ?? null;
  if (response === null || response.closed) answer();
  else response.once('close', answer);
}
