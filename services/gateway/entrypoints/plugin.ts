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
import { writeLimitHeaders } from '../responses/limit-headers.ts';
import { problemOf, problemType } from '../responses/problem.ts';
import { bodyEndsSoon, holdContinue, sendContinue } from '../transport/expectation.ts';
import type { Fault } from '../transport/fault.ts';
import { requestFault } from '../transport/request-fault.ts';
import { GuardedRequest, markOwn, sendFault } from './guarded-request.ts';

export interface TollgateOptions {
  readonly enforcer: Enforcer;
  /** The `entrypoint` in usage events; by default `plugin`. */
  readonly entrypoint?: string;
  /**
   * True if the handler serves `verdict.target`, the target in normal form, and not the target as the client sent it.
   */
  readonly rewritten?: boolean;
  /**
   * Returns why a request cannot be served, or null. By default, the violations of HTTP/1.1 that `requestFault` finds.
   */
  readonly faultOf?: (request: IncomingMessage) => Fault | null;
}

type Next = (error?: Error) => void;

/**
 * Fastify plugin that applies Tollgate to every route of a server, also to unknown routes. It decides before the body
 * is read, responds to refused requests, delays requests by slow-down, sets the limit headers on every response, and
 * writes one event per request. Register it first and at the root.
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
      // The response is sent after its event is durable, so that every response that a client received has an
      // event.
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

/** Decides about a preflight by the preflight limits alone. Its event has no units. */
function decidePreflight(decisionRequest: DecisionRequest, guarded: GuardedRequest, next: Next): void {
  const { enforcer } = guarded;
  const { cors } = enforcer.policy();
  const applicable = preflightLimits(enforcer.policy());
  try {
    // With `cors` in the policy, the preflight is answered here and needs no permit.
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

/** Serves, delays or refuses the request as its verdict states. */
function applyVerdict(verdict: Verdict, guarded: GuardedRequest, next: Next): void {
  const { reply } = guarded;
  try {
    guarded.verdict = verdict;
    // The client disconnected during the decision, so the permit of the verdict has to be released here.
    if (guarded.ended) guarded.leave();
    else if (guarded.fault !== null) sendFault(reply, guarded.fault);
    else if (!passes(verdict)) sendRejection(reply, verdict);
    else if (verdict.decision.delayMs === 0) serve(reply, next);
    else serveDelayed(guarded, verdict.decision.delayMs, next);
  } catch (error) {
    // One response of Redis contains the results of several requests: an error of this request must not
    // affect the others.
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

/** Sends the problem of a refused request. `onSend` adds the limit headers, as to every other response. */
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
