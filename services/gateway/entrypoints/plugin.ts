import type { IncomingMessage } from 'node:http';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { fastifyPlugin } from 'fastify-plugin';
import { readMethod } from '../../../shared/domain/request/request-method.ts';
import type { DecisionRequest } from '../enforcer/decision-inputs.ts';
import type { Enforcer } from '../enforcer/enforcer.ts';
import { anonymous } from '../enforcer/identify.ts';
import type { Identified } from '../enforcer/identify.ts';
import { passes } from '../enforcer/verdict.ts';
import type { Verdict } from '../enforcer/verdict.ts';
import {
  answerPreflight,
  exposeLimits,
  isPreflight,
  preflightLimits,
  withoutUnits,
  writeOwnCors,
} from '../responses/cors.ts';
import { writeLimitHeaders } from '../responses/headers.ts';
import { problemOf, problemType } from '../responses/problem.ts';
import { bodyEndsSoon, holdContinue, sendContinue } from '../transport/expectation.ts';
import type { Fault } from '../transport/fault.ts';
import { requestFault } from '../transport/request-fault.ts';
import { GuardedRequest, markOwn, sendFault } from './guarded-request.ts';

export interface TollgateOptions {
  readonly enforcer: Enforcer;
  /** Named in events; an API that uses the plugin in its own process omits it. */
  readonly entrypoint?: string;
  /** True where the handler serves `verdict.target`, the normal form, and not the target that the client sent. */
  readonly rewritten?: boolean;
  /** Returns why a request cannot be served; by default where HTTP/1.1 does not allow it. */
  readonly faultOf?: (request: IncomingMessage) => Fault | null;
}

type Next = (error?: Error) => void;

/**
 * Puts Tollgate in front of every route of a Fastify server, unknown ones included: decides before the body is read,
 * answers requests that are refused, delays requests that are slowed down, sets the limit headers on every response and
 * writes one event for each. Register it first and at the root.
 */
export const tollgate = fastifyPlugin<TollgateOptions>(
  (app, { enforcer, entrypoint = 'plugin', rewritten = false, faultOf = requestFault }, done) => {
    holdContinue(app.server);
    app.decorateRequest('tollgate', null);
    app.addHook('onRequest', (request, reply, next) => {
      const guarded = new GuardedRequest(enforcer, entrypoint, reply, rewritten);
      request.tollgate = guarded;
      const remote = request.socket.remoteAddress ?? '';
      if (isPreflight(request.method, request.headers)) {
        const identity = anonymous(enforcer.addressOf(request.headers, remote));
        decidePreflight(requestOf(request, { identity, rejection: null }), guarded, next);
        return;
      }
      const caller = enforcer.identify(request.headers, remote);
      if (caller instanceof Promise) {
        caller.then((identified) => decideGuarded(requestOf(request, identified), guarded, next)).catch(next);
      } else decideGuarded(requestOf(request, caller), guarded, next);
    });
    app.addHook('onSend', (request, reply, payload, next) => {
      const guarded = request.tollgate;
      if (guarded === null || guarded.verdict === null) {
        next(null, payload);
        return;
      }
      writeLimitHeaders(guarded.verdict, reply);
      const { cors } = guarded.verdict.policy;
      if (cors !== null) (guarded.own ? writeOwnCors : exposeLimits)(cors, reply);
      // The event is safe before the response leaves: no response that a client received is without an event.
      void guarded.meter(reply.statusCode).then(() => next(null, payload));
    });
    done();

    function requestOf(request: FastifyRequest, caller: Identified): DecisionRequest {
      const fault = faultOf(request.raw);
      const method = readMethod(request.method, request.headers, enforcer.policy().requests);
      return {
        caller,
        method: typeof method === 'string' ? method : request.method,
        url: request.originalUrl,
        rewritten,
        unreadable: fault ?? (typeof method === 'string' ? null : method),
        cost: null,
        peek: false,
        hold: true,
        plan: null,
      };
    }
  },
  { fastify: '5.x', name: 'tollgate' },
);

function decideGuarded(decisionRequest: DecisionRequest, guarded: GuardedRequest, next: Next): void {
  try {
    guarded.enforcer.decideWith(decisionRequest, (verdict) => applyVerdict(verdict, guarded, next));
  } catch (error) {
    next(asError(error));
  }
}

/** A preflight is decided by the preflight limits alone, and its event has no units. */
function decidePreflight(decisionRequest: DecisionRequest, guarded: GuardedRequest, next: Next): void {
  const { enforcer } = guarded;
  const { cors } = enforcer.policy();
  const applicable = preflightLimits(enforcer.policy());
  try {
    // A preflight that is answered here needs no permit.
    enforcer.decideWith({ ...decisionRequest, applicable, hold: cors === null }, (verdict) => {
      if (!passes(verdict)) enforcer.recordDecision(verdict);
      applyVerdict(withoutUnits(verdict), guarded, () => {
        if (cors === null) next();
        else answerPreflight(guarded.reply, cors);
      });
    });
  } catch (error) {
    next(asError(error));
  }
}

/** Serves, delays or refuses the request. */
function applyVerdict(verdict: Verdict, guarded: GuardedRequest, next: Next): void {
  const { reply } = guarded;
  try {
    guarded.verdict = verdict;
    // The client left during the decision: nothing else releases the permit of the verdict.
    if (guarded.ended) guarded.leave();
    else if (guarded.fault !== null) sendFault(reply, guarded.fault);
    else if (!passes(verdict)) sendRejection(reply, verdict);
    else if (verdict.decision.delayMs === 0) serve(reply, next);
    else serveDelayed(guarded, verdict.decision.delayMs, next);
  } catch (error) {
    // The same call to Redis decided about other requests: an error of this response must not reach them.
    next(asError(error));
  }
}

function serveDelayed(guarded: GuardedRequest, delayMs: number, next: Next): void {
  guarded.enforcer.metrics.delaySeconds.observe(delayMs / 1000);
  const timer = setTimeout(() => {
    guarded.end = null;
    serve(guarded.reply, next);
  }, delayMs);
  guarded.end = () => {
    clearTimeout(timer);
    if (guarded.fault !== null) sendFault(guarded.reply, guarded.fault);
  };
}

function serve(reply: FastifyReply, next: Next): void {
  sendContinue(reply.request.raw, reply.raw);
  next();
}

/** Answers a refused request; `onSend` adds the limit headers as to any other response. */
function sendRejection(reply: FastifyReply, verdict: Verdict): void {
  const problem = problemOf(verdict);
  markOwn(reply);
  if (problem.status === 401) reply.header('www-authenticate', 'Bearer error="invalid_token"');
  if (problem.status === 503) reply.header('retry-after', '1');
  const { unreadable } = verdict;
  if (unreadable?.allow !== undefined && problem.status === unreadable.status)
    reply.header('allow', unreadable.allow);
  if (unreadable !== null || !bodyEndsSoon(reply.request.raw)) reply.header('connection', 'close');
  void reply.code(problem.status).type(problemType).send(problem);
}

function asError(error: unknown): Error {
  return error instanceof Error ? error : new Error(String(error));
}
