import type { FastifyReply, FastifyRequest } from 'fastify';
import type { ApiServer } from '../entrypoints/api/api-server.ts';
import { answerPreflight, isPreflight, preflightLimits } from '../responses/cors.ts';
import type { Enforcer } from '../enforcer/enforcer.ts';
import { anonymous } from '../enforcer/identify.ts';
import { breakOff } from '../entrypoints/guarded-request.ts';
import { exchangeOf, setExchange } from '../transport/connection.ts';
import type { Exchange } from '../transport/connection.ts';
import { awaitsContinue, bodyEndsSoon, sendContinue } from '../transport/expectation.ts';
import { requestFault } from '../transport/request-fault.ts';
import type { Fault } from '../transport/fault.ts';
import { respondToFault } from '../entrypoints/api/charging.ts';
import { problemOf, sendProblem } from '../responses/problem.ts';
import { passes } from '../enforcer/verdict.ts';

/**
 * Registers the first hook of the listener. The hook is synchronous, because the parser may report an error in the body
 * immediately after the headers.
 */
export function trackRequests(app: ApiServer, enforcer: Enforcer): void {
  app.addHook('onRequest', (request, reply, next) => {
    setExchange(reply.raw, new ApiExchange(enforcer, request, reply));
    next();
  });
}

/**
 * Refuses requests that violate HTTP/1.1 before they are authorised or charged. This hook runs after the hook that
 * identifies the caller.
 */
export function refuseFaults(app: ApiServer): void {
  app.addHook('onRequest', async (request, reply) => {
    const exchange = exchangeOf(reply.raw) as ApiExchange;
    const fault = exchange.begin() ?? requestFault(request.raw);
    return fault === null ? undefined : exchange.answer(fault);
  });
}

/**
 * Answers preflights before the caller is identified, because a preflight has no credentials. A preflight is charged
 * only to the preflight limit of its address. If the policy has no `cors`, a preflight gets a 404.
 */
export function answerPreflights(app: ApiServer, enforcer: Enforcer): void {
  app.addHook('onRequest', async (request, reply) => {
    const { method, headers, socket, originalUrl: url } = request;
    if (!isPreflight(method, headers)) return undefined;
    const policy = enforcer.policy();
    const caller = {
      identity: anonymous(enforcer.addressOf(headers, socket.remoteAddress ?? '')),
      rejection: null,
    };
    const applicable = preflightLimits(policy);
    const decisionRequest = {
      caller,
      method,
      url,
      cost: null,
      peek: false,
      hold: false,
      plan: null,
      applicable,
    };
    const verdict = await enforcer.decide(decisionRequest);
    request.verdict = verdict;
    if (!passes(verdict)) sendProblem(reply, problemOf(verdict));
    else if (policy.cors !== null) answerPreflight(reply, policy.cors);
    else reply.callNotFound();
    return reply;
  });
}

/**
 * Registers the last hook: it sends `100 Continue` to a client that waits for it, if no earlier hook has refused the
 * request.
 */
export function acceptBodies(app: ApiServer): void {
  app.addHook('onRequest', (request, reply, next) => {
    if (request.is404 && awaitsContinue(request.raw)) reply.callNotFound();
    else {
      sendContinue(request.raw, reply.raw);
      next();
    }
  });
  app.addHook('onSend', (request, reply, payload, next) => {
    if (!bodyEndsSoon(request.raw)) reply.header('connection', 'close');
    next(null, payload);
  });
}

class ApiExchange implements Exchange {
  readonly enforcer: Enforcer;
  readonly request: FastifyRequest;
  readonly reply: FastifyReply;
  #begun = false;
  #answering = false;
  /** A fault that was detected before the caller was identified. */
  #earlyFault: Fault | null = null;

  constructor(enforcer: Enforcer, request: FastifyRequest, reply: FastifyReply) {
    this.enforcer = enforcer;
    this.request = request;
    this.reply = reply;
  }

  begin(): Fault | null {
    this.#begun = true;
    return this.#earlyFault;
  }

  fail(fault: Fault): void {
    if (!this.#begun) this.#earlyFault ??= fault;
    else if (this.reply.sent || this.#answering) breakOff(this.reply);
    else void this.answer(fault);
  }

  leave(): void {
    // A request to the API listener holds no permit, so there is nothing to release.
  }

  answer(fault: Fault): Promise<FastifyReply> {
    this.#answering = true;
    return respondToFault(this.enforcer, this.request, this.reply, fault);
  }
}
