import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { Fault } from './fault.ts';
import { Progress } from './progress.ts';

/** One request and its response: the methods that the connection calls while the request is in progress. */
export interface Exchange {
  /** Responds with the fault if no response has begun; otherwise aborts the response. */
  fail(fault: Fault): void;
  /** Releases the request's resources. Called when the response has ended or the client has disconnected. */
  leave(): void;
}

/**
 * State of one TCP connection of a listener. `request` and `response` are the latest ones: a client may send several
 * requests before the first response (pipelining).
 */
export class Connection {
  readonly socket: Socket;
  request: IncomingMessage | null = null;
  response: ServerResponse | null = null;
  /** Time of the first check by `pace.ts` after the latest request began; 0 before this check. */
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

/** Keeps a `Connection` object for every open socket of a server. This costs each request only a few assignments. */
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

/** Stores the exchange of a response (see `Exchange`), so that the connection can end the exchange. */
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

/** Ends the latest request of a connection with the fault. If no request is in progress, closes the connection. */
export function failRequest({ socket, response }: Connection, fault: Fault): void {
  const exchange = response === null || response.closed ? undefined : exchangeOf(response);
  if (exchange === undefined) socket.destroy();
  else exchange.fail(fault);
}
