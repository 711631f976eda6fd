import { Transform } from 'node:stream';
import type { Readable, TransformCallback } from 'node:stream';
import type { IncomingHttpHeaders, IncomingMessage } from 'node:http';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { Pool, errors } from 'undici';
import { messageOf } from '../../../../shared/runtime/errors.ts';
import { createBoundedLog } from '../../metering/bounded-log.ts';
import type { BoundedLog } from '../../metering/bounded-log.ts';
import type { Enforcer } from '../../enforcer/enforcer.ts';
import { clientLeft, sendFault } from '../guarded-request.ts';
import { describeBody, meteredBody, wasSent } from '../../metered-calls/forward-call.ts';
import type { MeteredCall } from '../../metered-calls/metered-call.ts';
import { prepareMetered } from '../../metered-calls/prepare-call.ts';
import { RequestBodies, tooLarge } from '../../metered-calls/request-bodies.ts';
import { tollgate } from '../plugin.ts';
import type { CompleteRequest } from '../guard-request.ts';
import { plainProblem, problemType } from '../../responses/problem.ts';
import type { TransportBounds } from '../../transport/bounds.ts';
import { allowedMethods } from '../../transport/listener.ts';
import { requestFault } from '../../transport/request-fault.ts';
import type { Fault } from '../../transport/fault.ts';
import { upgradeOf } from '../../transport/upgrade.ts';
import { createUpstreamConnector } from '../../transport/upstream-socket.ts';
import type { Verdict } from '../../enforcer/verdict.ts';
import { createWebSockets } from '../../websocket/handshake.ts';
import { clientHeaders, upstreamHeaders } from './forwarded-headers.ts';
import type { UpstreamCredential } from './upstream-credential.ts';

export interface ProxyOptions {
  readonly enforcer: Enforcer;
  readonly bodyBytesMax: number;
  /** Longest wait in milliseconds until the upstream begins to respond. */
  readonly upstreamTimeoutMs: number;
  /** Null: the upstream gets the credentials of the callers. */
  readonly upstreamCredential: UpstreamCredential | null;
  readonly bounds: TransportBounds;
}

const connectTimeoutMs = 5_000;
/**
 * Maximum number of connections to an upstream. It is above the usual platform limit of 1,000 concurrent requests, so
 * that no request waits for a free connection.
 */
const connectionsMax = 2_048;

/**
 * The reverse proxy: decides about every request, streams it to the upstream, and streams the response back. A request
 * is never retried: it reaches the upstream at most once. The upstream may change with the policy; requests in progress
 * continue with the previous one.
 */
export function registerProxy(app: FastifyInstance, options: ProxyOptions): void {
  const { enforcer } = options;
  const pools = new Map<string, Pool>();
  const logFailure = createBoundedLog(enforcer.logger, enforcer.clock, () =>
    enforcer.metrics.logsSuppressed.inc(),
  );
  const webSockets = createWebSockets({
    enforcer,
    upstreamTimeoutMs: options.upstreamTimeoutMs,
    upstreamCredential: options.upstreamCredential,
    idleTimeoutMs: options.bounds.websocketIdleTimeoutMs,
    onFailed: (reason, { path }) =>
      logFailure(() => ({ reason, path: path.slice(0, 256) }), 'upstream failed'),
  });
  // WebSocket connections are closed here, because the server waits for them but does not close them itself.
  app.addHook('preClose', (done) => {
    webSockets.close();
    done();
  });
  app.addHook('onClose', async () => {
    await Promise.all([...pools.values()].map((pool) => pool.destroy()));
  });
  app.setErrorHandler((error: Error, request, reply) =>
    answerAbortedResponse(error, request, reply, { enforcer, logFailure }),
  );
  const faultOf = (request: IncomingMessage): Fault | null => proxyFault(request, options.bodyBytesMax);
  const bodies = new RequestBodies(options.bodyBytesMax);
  const complete: CompleteRequest = (raw, decisionRequest, guarded) =>
    prepareMetered(raw, decisionRequest, guarded, bodies);
  void app.register(tollgate, { enforcer, entrypoint: 'proxy', rewritten: true, faultOf, complete });
  app.all('/*', { config: { access: 'decision' } }, async (request, reply) => {
    const verdict = request.tollgate?.verdict ?? null;
    // Without a verdict the request was not decided, so it is not forwarded.
    if (verdict === null || verdict.target === null) return fail(reply, 400, 'This request cannot be read.');
    // `OPTIONS *` is about this server, not about a path of the upstream.
    if (verdict.target.path === '*') return reply.code(204).send();
    const { upstream } = enforcer.policy();
    if (upstream === null) {
      return fail(
        reply,
        502,
        'No upstream is configured: set TOLLGATE_UPSTREAM or "upstream" in the policy.',
      );
    }
    const address = new URL(upstream);
    const upgrade = upgradeOf(request.raw);
    if (upgrade !== null) return webSockets.forward(address, verdict, request, reply, upgrade);
    const call = request.tollgate?.call ?? null;
    return forward(poolFor(upstream), address, verdict, request, reply, { ...options, logFailure, call });
  });

  function poolFor(upstream: string): Pool {
    const { origin } = new URL(upstream);
    let pool = pools.get(origin);
    if (pool === undefined) {
      pool = new Pool(origin, {
        connections: connectionsMax,
        connect: createUpstreamConnector(connectTimeoutMs),
        headersTimeout: options.upstreamTimeoutMs,
        bodyTimeout: options.bounds.upstreamIdleTimeoutMs,
      });
      pools.set(origin, pool);
    }
    return pool;
  }
}

/** Why a request cannot be served, or null. A request with a fault gets no permit and is charged no unit. */
function proxyFault(request: IncomingMessage, bodyBytesMax: number): Fault | null {
  const { headers, method } = request;
  // TRACE is refused: the upstream's response would contain the request's headers, also those that Tollgate added.
  if (method === 'TRACE') return { status: 405, detail: 'TRACE is not served here.', allow: allowedMethods };
  if (Number(headers['content-length'] ?? 0) > bodyBytesMax) return tooLarge(bodyBytesMax);
  return requestFault(request);
}

/** What is forwarded for one request, and what happens to its response. */
interface Forwarding extends ProxyOptions {
  readonly logFailure: BoundedLog;
  /** The call whose usage is read; null for all other requests. */
  readonly call: MeteredCall | null;
}

async function forward(
  pool: Pool,
  upstream: URL,
  verdict: Verdict,
  request: FastifyRequest,
  reply: FastifyReply,
  { enforcer, bodyBytesMax, upstreamCredential, logFailure, call }: Forwarding,
): Promise<FastifyReply> {
  const guarded = request.tollgate;
  const abort = new AbortController();
  if (guarded !== null) {
    guarded.end = () => {
      // Nothing is left to abort after a complete exchange, and creating the error of an abort is expensive.
      if (!reply.raw.writableFinished || !request.raw.complete) abort.abort();
    };
  }
  const headers = upstreamHeaders(enforcer, request, upstream, verdict, upstreamCredential);
  const body = call === null ? bodyOf(request, bodyBytesMax) : call.prepared.body;
  if (call !== null) {
    describeBody(headers, call);
    await guarded?.openCall(call);
  }
  const startedAt = performance.now();
  try {
    const response = await pool.request({
      method: request.method,
      path: `${upstream.pathname.replace(/\/$/, '')}${verdict.target?.text ?? '/'}`,
      headers,
      body,
      signal: abort.signal,
    });
    enforcer.metrics.upstreamSeconds.observe((performance.now() - startedAt) / 1000);
    if (response.statusCode >= 500) enforcer.metrics.upstreamFailures.inc({ kind: 'status' });
    if (guarded !== null) guarded.own = false;
    reply.code(response.statusCode).headers(clientHeaders(response.headers));
    if (isEventStream(response.headers)) reply.raw.once('pipe', () => reply.raw.flushHeaders());
    if (response.statusCode === 304) return await sendWithoutBody(reply, response.body);
    return await reply.send(call === null ? response.body : meteredBody(reply, call, response));
  } catch (error) {
    const failure = failureOf(error);
    const left = abort.signal.aborted && (guarded === null || guarded.fault === null);
    void call?.settleFailed(wasSent(error), left ? clientLeft : failure.status);
    if (body instanceof BoundedBody && body.exceeded) return sendFault(reply, tooLarge(bodyBytesMax));
    if (guarded !== null && guarded.fault !== null) return sendFault(reply, guarded.fault);
    if (left) return reply;
    logFailure(() => ({ reason: messageOf(error), path: verdict.path.slice(0, 256) }), 'upstream failed');
    enforcer.metrics.upstreamFailures.inc({ kind: failure.status === 504 ? 'timeout' : 'unreachable' });
    return fail(reply, failure.status, failure.detail);
  }
}

function failureOf(error: unknown): Fault {
  return error instanceof errors.HeadersTimeoutError || error instanceof errors.ConnectTimeoutError
    ? { status: 504, detail: 'The API behind this address did not respond in time.' }
    : { status: 502, detail: 'The API behind this address cannot be reached.' };
}

/**
 * True for an event stream. Its response headers are sent at once and not with the first event, so that the client
 * detects that the stream is open.
 */
function isEventStream({ 'content-type': type }: IncomingHttpHeaders): boolean {
  return type?.startsWith('text/event-stream') === true;
}

/**
 * Sends a 304 without its body. A 304 may state the length of a body that it does not contain; undici then reports an
 * aborted body, which is ignored.
 */
function sendWithoutBody(reply: FastifyReply, body: Readable): FastifyReply {
  body.on('error', () => undefined).resume();
  return reply.send();
}

/**
 * Responds if an error ended a request before a byte of its response was sent. If the upstream aborted its response,
 * the client gets a 502 without the upstream's headers.
 */
function answerAbortedResponse(
  error: Error,
  request: FastifyRequest,
  reply: FastifyReply,
  { enforcer, logFailure }: { readonly enforcer: Enforcer; readonly logFailure: BoundedLog },
): void {
  const guarded = request.tollgate;
  if (guarded === null || guarded.own) {
    logFailure(() => ({ err: error }), `request failed: ${messageOf(error)}`);
    void fail(reply, 500, 'Something went wrong here.');
    return;
  }
  guarded.own = true;
  if (reply.statusCode < 500) enforcer.metrics.upstreamFailures.inc({ kind: 'aborted' });
  for (const name of Object.keys(reply.getHeaders())) if (name !== 'connection') reply.removeHeader(name);
  if (!guarded.ended)
    logFailure(
      () => ({ reason: messageOf(error), path: guarded.verdict?.path.slice(0, 256) }),
      'upstream failed',
    );
  void fail(reply, 502, 'The API behind this address aborted its response.');
}

function bodyOf(request: FastifyRequest, bytesMax: number): Readable | null {
  const { headers, raw } = request;
  if (headers['transfer-encoding'] !== undefined) return raw.pipe(new BoundedBody(bytesMax));
  return Number(headers['content-length'] ?? 0) > 0 ? raw : null;
}

/** Counts the bytes of a body of unknown length while it is streamed, and fails above the bound. */
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

function fail(reply: FastifyReply, status: number, detail: string): FastifyReply {
  return reply.code(status).type(problemType).send(plainProblem(status, detail));
}
