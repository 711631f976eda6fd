import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { Fault } from './fault.ts';
import { Progress } from './progress.ts';

/** A request under way, as far as its connection is concerned. */
export interface Exchange {
  /** Answers with the fault where nothing was answered yet; else breaks the response off. */
  fail(fault: Fault): void;
  /** The response is over, or the client left. */
  leave(): void;
}

/** What is known of one TCP connection of a listener. Requests may be pipelined: these are the latest. */
export class Connection {
  readonly socket: Socket;
  request: IncomingMessage | null = null;
  response: ServerResponse | null = null;
  /** Of the latest request; 0 where `pace.ts` has not seen it yet. */
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

/** Keeps a `Connection` for every open socket of a server. A request costs a few writes. */
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

/** Ends the latest request of a connection: by an answer where there is none yet, else by ending the connection. */
export function failRequest({ socket, response }: Connection, fault: Fault): void {
  const exchange = response === null || response.closed ? undefined : exchangeOf(response);
  if (exchange === undefined) socket.destroy();
  else exchange.fail(fault);
}
