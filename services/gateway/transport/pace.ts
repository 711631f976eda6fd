import type { ServerResponse } from 'node:http';
import type { TransportBounds } from './bounds.ts';
import { failRequest } from './connection.ts';
import type { Connection } from './connection.ts';
import { awaitsContinue } from './expectation.ts';
import type { Fault } from './fault.ts';
import { sentBytes } from './progress.ts';

export type PaceBounds = Pick<
  TransportBounds,
  'requestTimeoutMs' | 'responseTimeoutMs' | 'bytesPerSecondMin' | 'requestWindowMs' | 'responseWindowMs'
>;

/** Why a connection or its request was ended. */
export const slownesses = ['request_pace', 'request_deadline', 'response_pace', 'response_deadline'] as const;

export type Slowness = (typeof slownesses)[number];

/**
 * Checks all connections at an interval and ends those that make too little progress, so that a slow client cannot hold
 * a permit. Only time in which the gateway waits for the client counts: not the time in which this process stood still.
 * If the upstream reads a body slowly or writes a response slowly, this does not count against the client. The requests
 * themselves do no work for these checks.
 */
export function keepPace(
  connections: ReadonlySet<Connection>,
  bounds: PaceBounds,
  onEnded: (why: Slowness) => void,
): { close: () => void } {
  const intervalMs = Math.max(
    10,
    Math.min(1_000, Math.min(bounds.requestWindowMs, bounds.responseWindowMs) / 4),
  );
  let checkedAtMs = performance.now();
  const timer = setInterval(checkAll, intervalMs);
  timer.unref();
  return { close: () => clearInterval(timer) };

  function checkAll(): void {
    const nowMs = performance.now();
    // A longer time is one in which this process stood still, and the bytes of its clients wait in the kernel.
    const elapsedMs = Math.min(nowMs - checkedAtMs, 2 * intervalMs);
    checkedAtMs = nowMs;
    for (const connection of connections) {
      const why = slownessOf(connection, nowMs, elapsedMs, bounds);
      if (why === null) continue;
      onEnded(why);
      if (why === 'response_pace') connection.socket.destroy();
      else failRequest(connection, faults[why]);
    }
  }
}

const faults: Readonly<Record<Exclude<Slowness, 'response_pace'>, Fault>> = {
  request_pace: { status: 408, detail: 'The body arrives too slowly.' },
  request_deadline: { status: 408, detail: 'The body did not arrive in time.' },
  response_deadline: { status: 504, detail: 'The response was not complete in time.' },
};

function slownessOf(
  connection: Connection,
  nowMs: number,
  elapsedMs: number,
  bounds: PaceBounds,
): Slowness | null {
  const { request, response, socket, outbound, inbound } = connection;
  const { bytesPerSecondMin, requestWindowMs, responseWindowMs } = bounds;
  // If no bytes wait to be sent to the client, the gateway waits for the upstream and not for the client.
  if (socket.writableLength === 0) outbound.reset();
  else if (outbound.stalls(elapsedMs, sentBytes(socket), responseWindowMs, bytesPerSecondMin)) {
    return 'response_pace';
  }
  if (request === null || response === null || (request.complete && response.closed)) return null;
  if (connection.beganAtMs === 0) connection.beganAtMs = nowMs;
  const ageMs = nowMs - connection.beganAtMs;
  if (!request.complete) {
    if (ageMs > bounds.requestTimeoutMs) return 'request_deadline';
    // If bytes of the body are buffered here, or `100 Continue` was not sent yet, the gateway does not wait
    // for the client.
    if (request.readableLength > 0 || awaitsContinue(request)) inbound.reset();
    else if (inbound.stalls(elapsedMs, socket.bytesRead, requestWindowMs, bytesPerSecondMin)) {
      return 'request_pace';
    }
  }
  const isOverdue = ageMs > bounds.responseTimeoutMs && !response.closed && !isEventStream(response);
  return isOverdue ? 'response_deadline' : null;
}

function isEventStream(response: ServerResponse): boolean {
  const type = response.getHeader('content-type');
  return typeof type === 'string' && type.startsWith('text/event-stream');
}
