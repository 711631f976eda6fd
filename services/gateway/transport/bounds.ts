import { Type } from 'typebox';

/** What one connection of a listener may cost before it is ended. */
export interface TransportBounds {
  /** Until the headers of a request are there. */
  readonly headersTimeoutMs: number;
  /** Until the body of a request is there. */
  readonly requestTimeoutMs: number;
  /** Until a response is over; event streams have no such end. */
  readonly responseTimeoutMs: number;
  /** Between two pieces of the upstream's response. */
  readonly upstreamIdleTimeoutMs: number;
  /** Of a body that the gateway waits for, and of a response that the client does not read. 0: no minimum. */
  readonly bytesPerSecondMin: number;
  /** Time of waiting over which the minimum is measured. */
  readonly requestWindowMs: number;
  readonly responseWindowMs: number;
  /** Of a WebSocket, without a byte in either direction. */
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

const atLeast = (minimum: number, value: number) => Type.Integer({ minimum, default: value });

/** The environment variables behind `TransportBounds`. */
export const transportVariables = {
  TOLLGATE_HEADERS_TIMEOUT_MS: atLeast(1, boundsDefault.headersTimeoutMs),
  TOLLGATE_REQUEST_TIMEOUT_MS: atLeast(1, boundsDefault.requestTimeoutMs),
  TOLLGATE_RESPONSE_TIMEOUT_MS: atLeast(1, boundsDefault.responseTimeoutMs),
  TOLLGATE_UPSTREAM_IDLE_TIMEOUT_MS: atLeast(1, boundsDefault.upstreamIdleTimeoutMs),
  TOLLGATE_BYTES_PER_SECOND_MIN: atLeast(0, boundsDefault.bytesPerSecondMin),
  TOLLGATE_REQUEST_WINDOW_MS: atLeast(100, boundsDefault.requestWindowMs),
  TOLLGATE_RESPONSE_WINDOW_MS: atLeast(100, boundsDefault.responseWindowMs),
  TOLLGATE_WEBSOCKET_IDLE_TIMEOUT_MS: atLeast(1, boundsDefault.websocketIdleTimeoutMs),
  TOLLGATE_CONNECTIONS_MAX: atLeast(1, boundsDefault.connectionsMax),
  TOLLGATE_CONNECTIONS_PER_ADDRESS_MAX: atLeast(1, boundsDefault.connectionsPerAddressMax),
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
