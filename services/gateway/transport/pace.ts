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

/** Why a connection was ended. */
export type Slowness = 'request_pace' | 'request_deadline' | 'response_pace' | 'response_deadline';

/**
 * Looks at every connection in turn and ends those that make too little progress, so that nobody holds a permit by
 * doing next to nothing. Looking costs a request nothing. What counts is time in which the gateway waits for the client:
 * a body that the upstream takes slowly, and a response that the upstream writes slowly, are nobody's fault here.
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
  let lookedAtMs = performance.now();
  const timer = setInterval(look, intervalMs);
  timer.unref();
  return { close: () => clearInterval(timer) };

  function look(): void {
    const nowMs = performance.now();
    const elapsedMs = nowMs - lookedAtMs;
    lookedAtMs = nowMs;
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
  // Bytes wait for the client: where none do, the response is as far as the upstream.
  if (socket.writableLength === 0) outbound.reset();
  else if (outbound.stalls(elapsedMs, sentBytes(socket), responseWindowMs, bytesPerSecondMin)) {
    return 'response_pace';
  }
  if (request === null || response === null || (request.complete && response.closed)) return null;
  if (connection.beganAtMs === 0) connection.beganAtMs = nowMs;
  const ageMs = nowMs - connection.beganAtMs;
  if (!request.complete) {
    if (ageMs > bounds.requestTimeoutMs) return 'request_deadline';
    // What has arrived is taken: the next bytes are the client's to send.
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
