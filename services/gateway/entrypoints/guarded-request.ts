import type { IncomingHttpHeaders, IncomingMessage, ServerResponse } from 'node:http';
import type { Enforcer } from '../enforcer/enforcer.ts';
import { plainProblem, problemType } from '../responses/problem.ts';
import { exchangeOf, setExchange } from '../transport/connection.ts';
import type { Exchange } from '../transport/connection.ts';
import type { Fault } from '../transport/fault.ts';
import type { Verdict } from '../enforcer/verdict.ts';
import type { CallResponse, SettledUsage } from '../metering/call-events.ts';
import { readStatedUsage } from '../reservations/stated-usage.ts';
import type { StatedUsage } from '../reservations/stated-usage.ts';
import type { MeteredCall } from '../metered-calls/metered-call.ts';

/** The usage of a request, as the application reports it. */
export interface Settlement {
  readonly usage: StatedUsage;
  /** Absent: the model that was reserved for. */
  readonly model?: string;
}

declare module 'fastify' {
  interface FastifyRequest {
    tollgate: GuardedRequest | null;
  }
}

/** The parts of a response that Tollgate uses. A reply of Fastify has them; other servers need an adapter. */
export interface GuardedReply {
  readonly raw: ServerResponse;
  readonly request: {
    readonly raw: IncomingMessage;
    readonly headers: IncomingHttpHeaders;
    readonly tollgate: GuardedRequest | null;
  };
  /** True after the response was passed to the server. */
  readonly sent: boolean;
  header(name: string, value: string): unknown;
  getHeader(name: string): number | string | string[] | undefined;
  code(status: number): GuardedReply;
  type(mediaType: string): GuardedReply;
  send(body?: object): unknown;
}

const nothingToWrite = Promise.resolve();

/** The status that nginx logs if a client closes its connection before the response. */
export const clientLeft = 499;

/**
 * A request of the proxy or the plugin from its arrival to its end. It gets one verdict and one event, and its permit
 * is released once.
 */
export class GuardedRequest implements Exchange {
  readonly enforcer: Enforcer;
  readonly entrypoint: string;
  readonly reply: GuardedReply;
  /** True if the request is refused with 503 when it is decided without Redis. */
  readonly redisOnly: boolean;
  readonly startedAt = performance.now();
  verdict: Verdict | null = null;
  /** The call whose usage is read; null for all other requests. */
  call: MeteredCall | null = null;
  /** Why an allowed request is no longer served; null while it is served. */
  fault: Fault | null = null;
  /**
   * Aborts the current work for the request: the slow-down delay or the call of the upstream. Called when the request
   * has ended or failed. After a failure, the code whose work was aborted responds with the fault.
   */
  end: (() => void) | null = null;
  /**
   * True if Tollgate itself sends the response; false after the upstream, or the API behind the plugin, began to
   * respond.
   */
  own: boolean;
  /** True after Tollgate's own response has begun. A later fault then gets no second response. */
  answering = false;
  metered = false;
  ended = false;
  #onEnded: (() => void) | null = null;
  /** Status and duration of the response; null before it has begun. */
  #response: CallResponse | null = null;
  /** Usage that the application reported before the response began. */
  #usage: SettledUsage | null = null;

  constructor(enforcer: Enforcer, entrypoint: string, reply: GuardedReply, own: boolean, redisOnly: boolean) {
    this.enforcer = enforcer;
    this.redisOnly = redisOnly;
    this.entrypoint = entrypoint;
    this.reply = reply;
    this.own = own;
    enforcer.metrics.openRequest();
    setExchange(reply.raw, this);
    // Node emits `close` exactly once for every response on a connection, complete or not.
    reply.raw.on('close', onClose);
  }

  fail(fault: Fault): void {
    if (this.ended || this.fault !== null) return;
    this.fault = fault;
    const { reply, verdict, end } = this;
    if (reply.sent || this.answering) breakOff(reply);
    else if (end !== null) end();
    // Before the verdict there are no limit headers for a response, so the plugin sends the fault when the
    // verdict arrives.
    else if (verdict !== null) sendFault(reply, fault);
  }

  /** Calls `release` when the request ends, or now if it has ended. */
  onEnded(release: () => void): void {
    if (this.ended) release();
    else this.#onEnded = release;
  }

  /**
   * Called when the response has ended or the client has disconnected. Aborts the work for the request, releases its
   * permit and writes its event. A second call does nothing.
   */
  leave(): void {
    if (!this.ended) {
      this.ended = true;
      this.enforcer.metrics.closeRequest();
      this.end?.();
      this.#onEnded?.();
    }
    this.verdict?.release();
    if (!this.metered) void this.meter(clientLeft);
    const { raw } = this.reply;
    this.verdict?.trace?.end(raw.headersSent ? raw.statusCode : clientLeft);
  }

  /** Writes the event of a metered call before the call is forwarded. Resolves when the event is durable. */
  openCall(call: MeteredCall): Promise<void> {
    if (this.metered || this.verdict === null) return nothingToWrite;
    this.metered = true;
    return call.open(this.verdict);
  }

  meter(status: number): Promise<void> {
    if (this.metered || this.verdict === null) return nothingToWrite;
    this.metered = true;
    const { entrypoint, startedAt } = this;
    this.#response = { status, latencyMs: performance.now() - startedAt };
    const written = this.enforcer.meter(this.enforcer.chargeByStatus(this.verdict, status), {
      ...this.#response,
      entrypoint,
    });
    if (this.#usage !== null) void this.#settle(this.#usage, this.#response);
    return written;
  }

  /**
   * Settles what the request has reserved, with the usage that the application measured: measures by name, or amounts
   * in their own unit. Before the response, the usage is kept and settled with the response; after it, the promise
   * resolves when the settlement is durable. Throws if the request reserved nothing, or if a name or value is wrong.
   */
  settle({ usage, model }: Settlement): Promise<void> {
    const { verdict } = this;
    const reservation = verdict?.reservation ?? null;
    if (verdict === null || reservation === null) throw new TypeError('This request has reserved nothing.');
    const read = readStatedUsage(verdict.policy, model ?? reservation.call.model, usage);
    if (typeof read === 'string') throw new TypeError(read);
    this.#usage = { ...read, source: 'reported' };
    return this.#response === null ? nothingToWrite : this.#settle(this.#usage, this.#response);
  }

  async #settle(usage: SettledUsage, response: CallResponse): Promise<void> {
    const reservation = this.verdict?.reservation ?? null;
    if (reservation !== null) await this.enforcer.reservations.settle(reservation, usage, response);
  }
}

/** All responses share this function, because a closure for each response would cost memory and garbage collection. */
function onClose(this: ServerResponse): void {
  exchangeOf(this)?.leave();
}

/**
 * Ends a response that was already passed to Fastify. If its headers were sent, the connection is destroyed; else the
 * connection is closed after the response.
 */
export function breakOff(reply: Pick<GuardedReply, 'raw' | 'header'>): void {
  if (reply.raw.headersSent) reply.raw.destroy();
  else reply.header('connection', 'close');
}

/** Marks the response as Tollgate's own, as opposed to a response of the upstream or of the API behind the plugin. */
export function markOwn({ request }: GuardedReply): void {
  const guarded = request.tollgate ?? null;
  if (guarded === null) return;
  guarded.own = true;
  guarded.answering = true;
}

/**
 * Responds to a request that cannot be served and closes its connection, because the unread bytes of its body are
 * discarded.
 */
export function sendFault<Reply extends GuardedReply>(reply: Reply, { status, detail }: Fault): Reply {
  markOwn(reply);
  reply.header('connection', 'close');
  void reply.code(status).type(problemType).send(plainProblem(status, detail));
  return reply;
}
