import type { ServerResponse } from 'node:http';
import type { FastifyReply } from 'fastify';
import type { Enforcer } from '../enforcer/enforcer.ts';
import { plainProblem, problemType } from '../responses/problem.ts';
import { exchangeOf, setExchange } from '../transport/connection.ts';
import type { Exchange } from '../transport/connection.ts';
import type { Fault } from '../transport/fault.ts';
import type { Verdict } from '../enforcer/verdict.ts';

declare module 'fastify' {
  interface FastifyRequest {
    tollgate: GuardedRequest | null;
  }
}

const nothingToWrite = Promise.resolve();

/** Nginx's number for a client that closed its connection before the response. */
const clientLeft = 499;

/** One request under a decision: one verdict, one event, and one release of its permit. */
export class GuardedRequest implements Exchange {
  readonly enforcer: Enforcer;
  readonly entrypoint: string;
  readonly reply: FastifyReply;
  readonly startedAt = performance.now();
  verdict: Verdict | null = null;
  /** Why the request is not served further, although it was allowed. */
  fault: Fault | null = null;
  /**
   * Aborts the work that is under way for the request: a delay, a call of the upstream. Called when the request is over
   * or fails; after a failure the aborted work sends the response with the fault.
   */
  end: (() => void) | null = null;
  /** True while the response is Tollgate's own; false once the upstream, or the API behind the plugin, responds. */
  own: boolean;
  /** True once Tollgate's own response has begun: a later fault of the request gets no second response. */
  answering = false;
  metered = false;
  ended = false;

  constructor(enforcer: Enforcer, entrypoint: string, reply: FastifyReply, own: boolean) {
    this.enforcer = enforcer;
    this.entrypoint = entrypoint;
    this.reply = reply;
    this.own = own;
    enforcer.metrics.openRequest();
    setExchange(reply.raw, this);
    // `close` follows every response that reached its connection, complete or not, exactly once.
    reply.raw.on('close', onClose);
  }

  fail(fault: Fault): void {
    if (this.ended || this.fault !== null) return;
    this.fault = fault;
    const { reply, verdict, end } = this;
    if (reply.sent || this.answering) breakOff(reply);
    else if (end !== null) end();
    // Without a verdict there are no limit headers yet: the plugin checks `fault` when the verdict arrives.
    else if (verdict !== null) sendFault(reply, fault);
  }

  /**
   * The response is over, or the client left: aborts the work for the request, releases its permit and meters it, once.
   */
  leave(): void {
    if (!this.ended) {
      this.ended = true;
      this.enforcer.metrics.closeRequest();
      this.end?.();
    }
    this.verdict?.release();
    if (!this.metered) void this.meter(clientLeft);
  }

  meter(status: number): Promise<void> {
    if (this.metered || this.verdict === null) return nothingToWrite;
    this.metered = true;
    const { entrypoint, startedAt } = this;
    return this.enforcer.meter(this.verdict, {
      status,
      latencyMs: performance.now() - startedAt,
      entrypoint,
    });
  }
}

/** One function for all responses: a closure for each would be garbage for each. */
function onClose(this: ServerResponse): void {
  exchangeOf(this)?.leave();
}

/** Ends a response that was sent already: destroys one whose headers have left, else closes the connection after it. */
export function breakOff(reply: FastifyReply): void {
  if (reply.raw.headersSent) reply.raw.destroy();
  else reply.header('connection', 'close');
}

/** Marks the response as Tollgate's own, in place of one of the upstream or of the API behind the plugin. */
export function markOwn({ request }: FastifyReply): void {
  const guarded = request.tollgate ?? null;
  if (guarded === null) return;
  guarded.own = true;
  guarded.answering = true;
}

/** Answers a request that cannot be served, and closes its connection: the unread bytes of its body are discarded. */
export function sendFault(reply: FastifyReply, { status, detail }: Fault): FastifyReply {
  markOwn(reply);
  return reply
    .code(status)
    .header('connection', 'close')
    .type(problemType)
    .send(plainProblem(status, detail));
}
