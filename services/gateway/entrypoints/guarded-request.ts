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

const settled = Promise.resolve();

/** Nginx's number for a client that left before it was answered. */
const clientLeft = 499;

/** One request on its way through: decided once, metered once, released once. */
export class GuardedRequest implements Exchange {
  readonly enforcer: Enforcer;
  readonly entrypoint: string;
  readonly reply: FastifyReply;
  readonly startedAt = performance.now();
  verdict: Verdict | null = null;
  /** Why the request is not served further, although it was allowed. */
  fault: Fault | null = null;
  /** Ends what waits for the request, when it is over or fails. What it ends answers a request that failed. */
  end: (() => void) | null = null;
  /** False once the upstream, or the API behind the plugin, answers. */
  own: boolean;
  /** Tollgate's own answer is begun: nothing that happens to the request later is answered too. */
  answering = false;
  metered = false;
  ended = false;

  /** `own`: whether the answer is Tollgate's as long as no other is begun. */
  constructor(enforcer: Enforcer, entrypoint: string, reply: FastifyReply, own: boolean) {
    this.enforcer = enforcer;
    this.entrypoint = entrypoint;
    this.reply = reply;
    this.own = own;
    enforcer.metrics.openRequest();
    setExchange(reply.raw, this);
    // `close` follows every response that reached its connection, answered or not, exactly once.
    reply.raw.on('close', onClose);
  }

  fail(fault: Fault): void {
    if (this.ended || this.fault !== null) return;
    this.fault = fault;
    const { reply, verdict, end } = this;
    if (reply.sent || this.answering) breakOff(reply);
    else if (end !== null) end();
    // Before the decision is made there is nothing to put into the headers: it looks for a fault when it comes.
    else if (verdict !== null) sendFault(reply, fault);
  }

  /** The response is over, or the client left: whatever was held for it is let go, exactly once. */
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
    if (this.metered || this.verdict === null) return settled;
    this.metered = true;
    const { entrypoint, startedAt } = this;
    return this.enforcer.meter(this.verdict, {
      status,
      latencyMs: performance.now() - startedAt,
      entrypoint,
    });
  }
}

/** One listener serves every response: a closure and a wrapper for each would be garbage for each. */
function onClose(this: ServerResponse): void {
  exchangeOf(this)?.leave();
}

/** The response is on its way already: one that has begun is cut, one that has not is the last of its connection. */
export function breakOff(reply: FastifyReply): void {
  if (reply.raw.headersSent) reply.raw.destroy();
  else reply.header('connection', 'close');
}

/** Says that Tollgate answers now, where another answer was expected. */
export function markOwn({ request }: FastifyReply): void {
  const guarded = request.tollgate ?? null;
  if (guarded === null) return;
  guarded.own = true;
  guarded.answering = true;
}

/** Answers a request that cannot be served as it came. What is left of it is not read. */
export function sendFault(reply: FastifyReply, { status, detail }: Fault): FastifyReply {
  markOwn(reply);
  return reply
    .code(status)
    .header('connection', 'close')
    .type(problemType)
    .send(plainProblem(status, detail));
}
