import { Transform } from 'node:stream';
import type { Readable, TransformCallback } from 'node:stream';
import type { IncomingHttpHeaders, IncomingMessage } from 'node:http';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { Pool, errors } from 'undici';
import type { Target } from '../../../shared/domain/target.ts';
import { messageOf } from '../../../shared/runtime/errors.ts';
import { createBoundedLog } from '../bounded-log.ts';
import type { BoundedLog } from '../bounded-log.ts';
import { remoteAddress } from '../client-address.ts';
import type { Gate } from '../gate.ts';
import { limitHeaderNames } from '../headers.ts';
import { sendFault } from '../passage.ts';
import { tollgate } from '../plugin.ts';
import { plainProblem, problemType } from '../problem.ts';
import { allowedMethods } from '../transport/listener.ts';
import { requestFault } from '../transport/request-fault.ts';
import type { Fault } from '../transport/fault.ts';
import type { Verdict } from '../verdict.ts';

export interface ProxyOptions {
  readonly gate: Gate;
  readonly bodyBytesMax: number;
  /** Until the upstream begins to answer. */
  readonly upstreamTimeoutMs: number;
  /** Between two pieces of an answer. */
  readonly idleTimeoutMs: number;
}

const connectTimeoutMs = 5_000;
/** Above the platform's usual limit of 1,000 requests at once: requests wait for the upstream, not for a connection. */
const connectionsMax = 2_048;

/**
 * The reverse proxy: every path is decided about, then streamed to the upstream and back. Nothing is retried: a
 * request reaches the upstream once or not at all. The upstream may change with the policy; requests under way finish.
 */
export function registerProxy(app: FastifyInstance, options: ProxyOptions): void {
  const { gate } = options;
  const pools = new Map<string, Pool>();
  const failed = createBoundedLog(gate.logger, gate.clock, () => gate.metrics.logsSuppressed.inc());
  const forwarding = { ...options, failed };
  app.addHook('onClose', async () => {
    await Promise.all([...pools.values()].map((pool) => pool.destroy()));
  });
  const faultOf = (request: IncomingMessage): Fault | null => proxyFault(request, options.bodyBytesMax);
  void app.register(tollgate, { gate, door: 'proxy', rewritten: true, faultOf });
  app.all('/*', { config: { access: 'decision' } }, async (request, reply) => {
    const target = request.tollgate?.verdict?.target;
    // Without a verdict the plugin was bypassed, and nothing was decided about.
    if (target === undefined || target === null) return fail(reply, 400, 'This request cannot be read.');
    // `OPTIONS *` asks about this server; none of the upstream's paths is meant.
    if (target.path === '*') return reply.code(204).send();
    const { upstream } = gate.policy();
    if (upstream === null) {
      return fail(
        reply,
        502,
        'No upstream is configured: set TOLLGATE_UPSTREAM or "upstream" in the policy.',
      );
    }
    return forward(poolFor(upstream), new URL(upstream), target, request, reply, forwarding);
  });

  function poolFor(upstream: string): Pool {
    const { origin } = new URL(upstream);
    let pool = pools.get(origin);
    if (pool === undefined) {
      pool = new Pool(origin, {
        connections: connectionsMax,
        connect: { timeout: connectTimeoutMs },
        headersTimeout: options.upstreamTimeoutMs,
        bodyTimeout: options.idleTimeoutMs,
      });
      pools.set(origin, pool);
    }
    return pool;
  }
}

/** A request that cannot be served takes no permit and no unit. */
function proxyFault(request: IncomingMessage, bodyBytesMax: number): Fault | null {
  const { headers, method } = request;
  // The upstream would answer with the headers it was sent, those of Tollgate included.
  if (method === 'TRACE') return { status: 405, detail: 'TRACE is not served here.', allow: allowedMethods };
  if (Number(headers['content-length'] ?? 0) > bodyBytesMax) return tooLarge(bodyBytesMax);
  return requestFault(request);
}

async function forward(
  pool: Pool,
  upstream: URL,
  target: Target,
  request: FastifyRequest,
  reply: FastifyReply,
  { gate, bodyBytesMax, failed }: ProxyOptions & { readonly failed: BoundedLog },
): Promise<FastifyReply> {
  const passage = request.tollgate;
  const abort = new AbortController();
  if (passage !== null) passage.end = () => abort.abort();
  const startedAt = performance.now();
  const body = bodyOf(request, bodyBytesMax);
  try {
    const answer = await pool.request({
      method: request.method,
      path: `${upstream.pathname.replace(/\/$/, '')}${target.text}`,
      headers: upstreamHeaders(request, upstream, passage?.verdict ?? null),
      body,
      signal: abort.signal,
    });
    gate.metrics.upstreamSeconds.observe((performance.now() - startedAt) / 1000);
    reply.code(answer.statusCode).headers(responseHeaders(answer.headers));
    return await reply.send(answer.body);
  } catch (error) {
    if (body instanceof BoundedBody && body.exceeded) return sendFault(reply, tooLarge(bodyBytesMax));
    if (passage !== null && passage.fault !== null) return sendFault(reply, passage.fault);
    if (abort.signal.aborted) return reply;
    failed(() => ({ reason: messageOf(error), path: target.path.slice(0, 256) }), 'upstream failed');
    return error instanceof errors.HeadersTimeoutError || error instanceof errors.ConnectTimeoutError
      ? fail(reply, 504, 'The API behind this address did not answer in time.')
      : fail(reply, 502, 'The API behind this address cannot be reached.');
  }
}

function bodyOf(request: FastifyRequest, bytesMax: number): Readable | null {
  const { headers, raw } = request;
  if (headers['transfer-encoding'] !== undefined) return raw.pipe(new BoundedBody(bytesMax));
  return Number(headers['content-length'] ?? 0) > 0 ? raw : null;
}

/** A body of unknown length is counted as it streams. */
class BoundedBody extends Transform {
  readonly bytesMax: number;
  bytes = 0;
  exceeded = false;

  constructor(bytesMax: number) {
    super();
    this.bytesMax = bytesMax;
  }

  override _transform(chunk: Buffer, _encoding: BufferEncoding, callback: TransformCallback): void {
    this.bytes += chunk.length;
    this.exceeded = this.bytes > this.bytesMax;
    if (this.exceeded) callback(new Error('The body is larger than allowed.'));
    else callback(null, chunk);
  }
}

/** These speak of one connection (RFC 9110, 7.6.1), not of the message; those of `Connection` come on top. */
const hopByHop = new Set([
  'connection',
  'keep-alive',
  'proxy-authenticate',
  'proxy-authorization',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
]);

/** Tollgate's own words to the upstream: a caller may not say them. */
const ownPrefix = 'x-tollgate-';

function upstreamHeaders(
  request: FastifyRequest,
  upstream: URL,
  verdict: Verdict | null,
): Record<string, string | string[]> {
  const headers: Record<string, string | string[]> = {};
  const { headers: given } = request;
  const named = connectionNames(given);
  const isService = verdict !== null && verdict.identity.service !== null;
  for (const name in given) {
    const value = given[name];
    if (value === undefined || hopByHop.has(name) || named.has(name) || name.startsWith(ownPrefix)) continue;
    // A service token opens Tollgate, nothing behind it.
    if (
      name === 'x-service-token' ||
      (isService && name === 'authorization' && verdict.identity.tenantId === null)
    )
      continue;
    if (name !== 'expect') headers[name] = value;
  }
  forwarded(headers, request, upstream, verdict);
  if (verdict !== null) describe(headers, verdict);
  return headers;
}

/** What a trusted proxy said of the caller is passed on; what the caller said of itself is not. */
function forwarded(
  headers: Record<string, string | string[]>,
  { headers: given, socket, protocol }: FastifyRequest,
  upstream: URL,
  verdict: Verdict | null,
): void {
  const remote = remoteAddress(socket.remoteAddress ?? '');
  const chain = given['x-forwarded-for'];
  const trusted = chain !== undefined && verdict !== null && verdict.identity.ip !== remote;
  headers['host'] = upstream.host;
  headers['x-forwarded-for'] = trusted ? `${String(chain)}, ${remote}` : remote;
  headers['x-forwarded-host'] = (trusted ? given['x-forwarded-host'] : undefined) ?? given.host ?? '';
  headers['x-forwarded-proto'] = (trusted ? given['x-forwarded-proto'] : undefined) ?? protocol;
}

/** Tells the upstream whom it serves. Ids are percent-encoded: a header cannot hold every character of theirs. */
function describe(headers: Record<string, string | string[]>, { decision, identity, plan }: Verdict): void {
  headers['x-request-id'] ??= decision.id;
  headers['x-tollgate-decision'] = decision.id;
  headers['x-tollgate-plan'] = plan.name;
  if (identity.tenantId !== null) headers['x-tollgate-tenant'] = encodeURIComponent(identity.tenantId);
  if (identity.userId !== null) headers['x-tollgate-user'] = encodeURIComponent(identity.userId);
  if (identity.service !== null) headers['x-tollgate-service'] = identity.service;
}

function responseHeaders(given: IncomingHttpHeaders): Record<string, string | string[]> {
  const headers: Record<string, string | string[]> = {};
  const named = connectionNames(given);
  for (const name in given) {
    const value = given[name];
    if (value !== undefined && !hopByHop.has(name) && !named.has(name) && !limitHeaderNames.has(name))
      headers[name] = value;
  }
  return headers;
}

const none: ReadonlySet<string> = new Set();

function connectionNames({ connection }: IncomingHttpHeaders): ReadonlySet<string> {
  if (connection === undefined || connection === 'keep-alive' || connection === 'close') return none;
  return new Set(connection.toLowerCase().split(/[ ,]+/));
}

function tooLarge(bytesMax: number): Fault {
  return { status: 413, detail: `The body is larger than ${bytesMax} bytes.` };
}

function fail(reply: FastifyReply, status: number, detail: string): FastifyReply {
  return reply.code(status).type(problemType).send(plainProblem(status, detail));
}
