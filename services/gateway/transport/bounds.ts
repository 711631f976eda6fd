import { Type } from 'typebox';

/** Bounds of the connections of a listener. A connection that violates a bound is closed. */
export interface TransportBounds {
  /** Longest time until all headers of a request have arrived. */
  readonly headersTimeoutMs: number;
  /** Longest time until the body of a request has arrived. */
  readonly requestTimeoutMs: number;
  /** Longest time until a response has ended. It does not apply to event streams (`text/event-stream`). */
  readonly responseTimeoutMs: number;
  /** Longest time between two chunks of the upstream's response. */
  readonly upstreamIdleTimeoutMs: number;
  /** Minimum rate in bytes per second at which a client must send a body and read a response. 0 disables it. */
  readonly bytesPerSecondMin: number;
  /**
   * Length of the windows in which the minimum rate is measured. Only time in which the gateway waits for the client
   * counts.
   */
  readonly requestWindowMs: number;
  readonly responseWindowMs: number;
  /** Longest time in which a WebSocket may carry no byte in either direction. */
  readonly websocketIdleTimeoutMs: number;
  readonly connectionsMax: number;
  readonly connectionsPerAddressMax: number;
}

export const boundsDefault: TransportBounds = {
  headersTimeoutMs: 20_000,
  requestTimeoutMs: 600_000,
  responseTimeoutMs: 3_600_000,
  upstreamIdleTimeoutMs: 300_000,
  bytesPerSecondMin: 1_024,
  requestWindowMs: 10_000,
  responseWindowMs: 30_000,
  websocketIdleTimeoutMs: 300_000,
  connectionsMax: 16_384,
  connectionsPerAddressMax: 1_024,
};

const atLeast = (minimum: number, value: number, description: string) =>
  Type.Integer({ minimum, default: value, description });

/** The environment variables that set `TransportBounds`. */
export const transportVariables = {
  TOLLGATE_HEADERS_TIMEOUT_MS: atLeast(
    1,
    boundsDefault.headersTimeoutMs,
    'Time until the headers of a request are complete; then 408.',
  ),
  TOLLGATE_REQUEST_TIMEOUT_MS: atLeast(
    1,
    boundsDefault.requestTimeoutMs,
    'Time until the body of a request is complete; then 408.',
  ),
  TOLLGATE_RESPONSE_TIMEOUT_MS: atLeast(
    1,
    boundsDefault.responseTimeoutMs,
    'Time until a response is complete, event streams excepted; then the connection is closed.',
  ),
  TOLLGATE_UPSTREAM_IDLE_TIMEOUT_MS: atLeast(
    1,
    boundsDefault.upstreamIdleTimeoutMs,
    'Time without data from the upstream during a response; then the connection is closed.',
  ),
  TOLLGATE_BYTES_PER_SECOND_MIN: atLeast(
    0,
    boundsDefault.bytesPerSecondMin,
    'Lowest rate at which a client sends a body and reads a response. 0: no minimum.',
  ),
  TOLLGATE_REQUEST_WINDOW_MS: atLeast(
    100,
    boundsDefault.requestWindowMs,
    'Waiting time over which the rate of a request body is measured.',
  ),
  TOLLGATE_RESPONSE_WINDOW_MS: atLeast(
    100,
    boundsDefault.responseWindowMs,
    'Waiting time over which the rate of reading a response is measured.',
  ),
  TOLLGATE_WEBSOCKET_IDLE_TIMEOUT_MS: atLeast(
    1,
    boundsDefault.websocketIdleTimeoutMs,
    'Time without data in either direction after which a WebSocket is closed.',
  ),
  TOLLGATE_CONNECTIONS_MAX: atLeast(1, boundsDefault.connectionsMax, 'Open connections of one listener.'),
  TOLLGATE_CONNECTIONS_PER_ADDRESS_MAX: atLeast(
    1,
    boundsDefault.connectionsPerAddressMax,
    'Open connections of one client address.',
  ),
};

type Variables = Readonly<Record<keyof typeof transportVariables, number>>;

export function transportBounds(config: Variables): TransportBounds {
  return {
    headersTimeoutMs: config.TOLLGATE_HEADERS_TIMEOUT_MS,
    requestTimeoutMs: config.TOLLGATE_REQUEST_TIMEOUT_MS,
    responseTimeoutMs: config.TOLLGATE_RESPONSE_TIMEOUT_MS,
    upstreamIdleTimeoutMs: config.TOLLGATE_UPSTREAM_IDLE_TIMEOUT_MS,
    bytesPerSecondMin: config.TOLLGATE_BYTES_PER_SECOND_MIN,
    requestWindowMs: config.TOLLGATE_REQUEST_WINDOW_MS,
    responseWindowMs: config.TOLLGATE_RESPONSE_WINDOW_MS,
    websocketIdleTimeoutMs: config.TOLLGATE_WEBSOCKET_IDLE_TIMEOUT_MS,
    connectionsMax: config.TOLLGATE_CONNECTIONS_MAX,
    connectionsPerAddressMax: config.TOLLGATE_CONNECTIONS_PER_ADDRESS_MAX,
  };
}
