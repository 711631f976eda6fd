import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { Fault } from './fault.ts';
import { Progress } from './progress.ts';

/** A request in progress, as its connection sees it. */
export interface Exchange {
  /** Responds with the fault if no response has begun; otherwise cuts the response off. */
  fail(fault: Fault): void;
  /** Releases the request's resources. Called when the response has ended or the client has disconnected. */
  leave(): void;
}

/** State of one TCP connection of a listener. `request` and `response` are the latest ones: requests may be pipelined. */
export class Connection {
  readonly socket: Socket;
  request: IncomingMessage | null = null;
  response: ServerResponse | null = null;
  /** Start of the latest request. 0 until the first check of `pace.ts` after that start. */
  beganAtMs = 0;
  readonly inbound = new Progress();
  readonly outbound = new Progress();

  constructor(socket: Socket) {
    this.socket = socket;
  }

  begin(request: IncomingMessage, response: ServerResponse): void {
    this.request = request;
    this.response = response;
    this.beganAtMs = 0;
    this.inbound.reset();
  }
}

const connectionKey = Symbol('tollgate.connection');
const exchangeKey = Symbol('tollgate.exchange');

interface TrackedSocket extends Socket {
  [connectionKey]?: Connection;
}

interface TrackedResponse extends ServerResponse {
  [exchangeKey]?: Exchange;
}

/** Keeps a `Connection` for every open socket of a server. Each request costs a few assignments. */
export function trackConnections(server: Server): ReadonlySet<Connection> {
  const connections = new Set<Connection>();
  server.on('connection', (socket: TrackedSocket) => {
    const connection = new Connection(socket);
    socket[connectionKey] = connection;
    connections.add(connection);
    socket.once('close', () => connections.delete(connection));
  });
  server.prependListener('request', (request, response) => {
    connectionOf(request.socket)?.begin(request, response);
  });
  return connections;
}

export function connectionOf(socket: TrackedSocket): Connection | undefined {
  return socket[connectionKey];
}

/** Registers the exchange behind a response, so that its connection can end the exchange. */
export function setExchange(response: TrackedResponse, exchange: Exchange): void {
  response[exchangeKey] = exchange;
}

export function exchangeOf(response: TrackedResponse): Exchange | undefined {
  return response[exchangeKey];
}

/**
 * Calls `respond` when every response to earlier requests of the connection has ended: responses are sent in the order of
 * the requests (RFC 9112, 9.3.2).
 */
export function afterResponse(socket: Socket, respond: () => void): void {
  const response = connectionOf(socket)?.response ?? null;
  if (response === null || response.closed) respond();
  else response.once('close', respond);
}

/** Ends the latest request of a connection through its exchange; closes the connection if no request is in progress. */
export function failRequest({ socket, response }: Connection, fault: Fault): void {
  const exchange = response === null || response.closed ? undefined : exchangeOf(response);
  if (exchange === undefined) socket.destroy();
  else exchange.fail(fault);
}
