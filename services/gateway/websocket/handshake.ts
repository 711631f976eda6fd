import { request as httpRequest } from 'node:http';
import type { ClientRequest, IncomingMessage } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { Socket } from 'node:net';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { messageOf } from '../../../shared/runtime/errors.ts';
import { clientHeaders, upstreamHeaders } from '../entrypoints/proxy/forwarded-headers.ts';
import type { ForwardedHeaders } from '../entrypoints/proxy/forwarded-headers.ts';
import type { UpstreamCredential } from '../entrypoints/proxy/upstream-credential.ts';
import { blockOf } from '../enforcer/rejections.ts';
import type { Enforcer } from '../enforcer/enforcer.ts';
import { delayRequest } from '../enforcer/slow-down.ts';
import { limitHeaders } from '../responses/limit-headers.ts';
import { sendFault } from '../entrypoints/guarded-request.ts';
import { blockDetail, problemOf } from '../responses/problem.ts';
import type { Fault } from '../transport/fault.ts';
import { markUpgraded } from '../transport/upgrade.ts';
import type { Upgrade } from '../transport/upgrade.ts';
import { passes } from '../enforcer/verdict.ts';
import type { Verdict } from '../enforcer/verdict.ts';
import { startRelay } from './relay.ts';
import type { Relay } from './relay.ts';

export interface WebSocketOptions {
  readonly enforcer: Enforcer;
  readonly upstreamTimeoutMs: number;
  readonly upstreamCredential: UpstreamCredential | null;
  readonly idleTimeoutMs: number;
  /** Called if the upstream cannot be reached or does not respond in time. */
  readonly onFailed: (reason: string, verdict: Verdict) => void;
}

export interface WebSockets {
  /**
   * Forwards a handshake. If the upstream declines it, the upstream's response is sent like the response to an ordinary
   * request.
   */
  forward(
    upstream: URL,
    verdict: Verdict,
    request: FastifyRequest,
    reply: FastifyReply,
    upgrade: Upgrade,
  ): Promise<FastifyReply>;
  /** Closes every open connection with 1001 (going away). Clients may then connect to another node. */
  close(): void;
}

const goingAway = 1001;
/** Interval at which open connections are checked for a block of their tenant. Each check is one lookup in memory. */
const blockCheckMs = 500;

/**
 * Forwards WebSocket connections. The enforcer decides about the handshake as about an ordinary request, the permit is
 * held until the connection ends, and the event has status 101. Messages are charged if the route has a `messageCost`.
 */
export function createWebSockets(options: WebSocketOptions): WebSockets {
  const { enforcer, idleTimeoutMs, onFailed } = options;
  const open = new Map<Relay, Verdict>();
  const timer = setInterval(refuseBlocked, blockCheckMs);
  timer.unref();
  return {
    forward,
    close: () => {
      clearInterval(timer);
      for (const relay of open.keys()) relay.close(goingAway, 'The gateway is shutting down.');
    },
  };

  async function forward(
    upstream: URL,
    verdict: Verdict,
    request: FastifyRequest,
    reply: FastifyReply,
    upgrade: Upgrade,
  ): Promise<FastifyReply> {
    const guarded = request.tollgate;
    const outgoing = handshakeTo(upstream, verdict, request, options);
    if (guarded !== null) guarded.end = () => outgoing.destroy();
    let handshake: HandshakeResponse;
    try {
      handshake = await responseTo(outgoing);
    } catch (error) {
      if (guarded !== null && guarded.fault !== null) return sendFault(reply, guarded.fault);
      if (guarded?.ended !== true) {
        onFailed(messageOf(error), verdict);
        const fault = faultOf(error);
        enforcer.metrics.upstreamFailures.inc({ kind: fault.status === 504 ? 'timeout' : 'unreachable' });
        sendFault(reply, fault);
      }
      return reply;
    }
    const { response, socket, head } = handshake;
    if (guarded !== null) guarded.own = false;
    if (socket === null) {
      if ((response.statusCode ?? 502) >= 500) enforcer.metrics.upstreamFailures.inc({ kind: 'status' });
      return reply
        .code(response.statusCode ?? 502)
        .headers(clientHeaders(response.headers))
        .send(response);
    }
    // The event is durable before the 101 is sent, as for every response.
    await guarded?.meter(101);
    if (guarded?.ended === true) {
      socket.destroy();
      return reply;
    }
    reply.hijack();
    markUpgraded(upgrade.socket);
    upgrade.socket.write(switchingProtocols(response, verdict), 'latin1');
    if (head.length > 0) socket.unshift(head);
    if (upgrade.head.length > 0) upgrade.socket.unshift(upgrade.head);
    const charge = chargeOf(verdict, request);
    const relay = startRelay({ client: upgrade.socket, upstream: socket, idleTimeoutMs, charge });
    open.set(relay, verdict);
    upgrade.socket.once('close', () => open.delete(relay));
    if (guarded !== null) guarded.end = () => socket.destroy();
    return reply;
  }

  /** Closes open connections whose tenant was blocked after the handshake. A block does not apply to services. */
  function refuseBlocked(): void {
    for (const [relay, { identity }] of open) {
      if (identity.tenantId === null || identity.service !== null) continue;
      const block = blockOf(enforcer.records.get(identity.tenantId) ?? null, enforcer.clock.now());
      if (block === null) continue;
      open.delete(relay);
      relay.refuse(blockDetail(block));
    }
  }

  function chargeOf(verdict: Verdict, request: FastifyRequest): (() => Promise<string | null>) | null {
    const cost = verdict.route?.messageCost ?? null;
    if (cost === null) return null;
    return () => chargeMessage(enforcer, verdict, request, cost);
  }
}

/** Decides about one message and writes its event, as for a separate request that costs the route's `messageCost`. */
async function chargeMessage(
  enforcer: Enforcer,
  { identity, method }: Verdict,
  { originalUrl: url, headers }: FastifyRequest,
  cost: number,
): Promise<string | null> {
  const startedAt = performance.now();
  const caller = { identity, rejection: null };
  const decision = { cost, peek: false, hold: false, plan: null, headers };
  const verdict = await enforcer.decide({ caller, method, url, rewritten: true, ...decision });
  const allowed = passes(verdict);
  const latencyMs = performance.now() - startedAt;
  await enforcer.meter(verdict, { status: allowed ? 200 : 429, latencyMs, entrypoint: 'websocket' });
  if (!allowed) return problemOf(verdict).detail;
  await delayRequest(enforcer, verdict);
  return null;
}

class TimeoutError extends Error {}

function handshakeTo(
  upstream: URL,
  verdict: Verdict,
  request: FastifyRequest,
  { enforcer, upstreamTimeoutMs, upstreamCredential }: WebSocketOptions,
): ClientRequest {
  const send = upstream.protocol === 'https:' ? httpsRequest : httpRequest;
  const headers = {
    ...upstreamHeaders(enforcer, request, upstream, verdict, upstreamCredential),
    connection: 'Upgrade',
    upgrade: 'websocket',
  };
  const path = `${upstream.pathname.replace(/\/$/, '')}${verdict.target?.text ?? '/'}`;
  const { hostname, port } = upstream;
  const host = hostname.replace(/^\[|\]$/g, '');
  const outgoing = send({
    host,
    port,
    path,
    method: 'GET',
    headers,
    agent: false,
    timeout: upstreamTimeoutMs,
  });
  outgoing.on('timeout', () => outgoing.destroy(new TimeoutError('The upstream did not respond in time.')));
  return outgoing.end();
}

interface HandshakeResponse {
  readonly response: IncomingMessage;
  /** The upstream's socket; null if the upstream declined the handshake. */
  readonly socket: Socket | null;
  readonly head: Buffer;
}

function responseTo(outgoing: ClientRequest): Promise<HandshakeResponse> {
  return new Promise((resolve, reject) => {
    outgoing.on('error', reject);
    outgoing.on('response', (response) => resolve({ response, socket: null, head: Buffer.alloc(0) }));
    outgoing.on('upgrade', (response, socket, head) => {
      if (socket instanceof Socket && response.headers.upgrade?.toLowerCase() === 'websocket') {
        resolve({ response, socket, head });
      } else {
        socket.destroy();
        reject(new Error('The upstream switched to another protocol.'));
      }
    });
  });
}

/** The 101 response to the client (RFC 9110, 15.2.2), with the limit headers. */
function switchingProtocols({ headers }: IncomingMessage, verdict: Verdict): string {
  const fields: ForwardedHeaders = {
    ...clientHeaders(headers),
    ...limitHeaders(verdict),
    connection: 'Upgrade',
    upgrade: 'websocket',
  };
  const lines = Object.entries(fields).flatMap(([name, value]) =>
    [value].flat().map((one) => `${name}: ${one}\r\n`),
  );
  return `HTTP/1.1 101 Switching Protocols\r\n${lines.join('')}\r\n`;
}

function faultOf(error: unknown): Fault {
  return error instanceof TimeoutError
    ? { status: 504, detail: 'The API behind this address did not respond in time.' }
    : { status: 502, detail: 'The API behind this address cannot be reached.' };
}
