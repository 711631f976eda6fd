import type { IncomingMessage } from 'node:http';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { fastifyPlugin } from 'fastify-plugin';
import { readMethod } from '../../../shared/domain/request/request-method.ts';
import type { ApplicableLimits } from '../../../shared/policy/match.ts';
import {
  answerPreflight,
  exposeLimits,
  free,
  isPreflight,
  preflightLimits,
  writeOwnCors,
} from '../responses/cors.ts';
import type { Question } from '../enforcer/decide.ts';
import type { Enforcer } from '../enforcer/enforcer.ts';
import { writeLimitHeaders } from '../responses/headers.ts';
import { anonymous } from '../enforcer/identify.ts';
import type { Identified } from '../enforcer/identify.ts';
import { GuardedRequest, markOwn, sendFault } from './guarded-request.ts';
import { problemOf, problemType } from '../responses/problem.ts';
import { bodyEndsSoon, holdContinue, sendContinue } from '../transport/expectation.ts';
import { requestFault } from '../transport/request-fault.ts';
import { passes } from '../enforcer/verdict.ts';
import type { Fault } from '../transport/fault.ts';
import type { Verdict } from '../enforcer/verdict.ts';

export interface TollgateOptions {
  readonly enforcer: Enforcer;
  /** Named in events; an API that uses the plugin in its own process leaves it out. */
  readonly entrypoint?: string;
  /** True where what follows serves `verdict.target`, the normal form, and not the target as it came. */
  readonly rewritten?: boolean;
  /** What makes a request unfit to be served: by default what HTTP/1.1 does not allow. */
  readonly faultOf?: (request: IncomingMessage) => Fault | null;
}

/**
 * Puts Tollgate in front of every route of a Fastify server, unknown ones included: decides before the body is read,
 * answers what is refused, holds back what is to be slowed down, sets the limit headers on every response and writes
 * one event for each. Register it first and at the root.
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
        decide({ identity, refusal: null }, guarded, request, next, preflightLimits(enforcer.policy()));
        return;
      }
      const who = enforcer.identify(request.headers, remote);
      if (who instanceof Promise) {
        who.then((known) => decide(known, guarded, request, next)).catch(next);
      } else decide(who, guarded, request, next);
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
      // The event is safe before the response leaves: what a client was told is never forgotten.
      void guarded.meter(reply.statusCode).then(() => next(null, payload));
    });
    done();

    function decide(
      who: Identified,
      guarded: GuardedRequest,
      request: FastifyRequest,
      next: (error?: Error) => void,
      preflight: ApplicableLimits | null = null,
    ): void {
      const fault = faultOf(request.raw);
      const method = readMethod(request.method, request.headers, enforcer.policy().requests);
      const question = {
        who,
        method: typeof method === 'string' ? method : request.method,
        url: request.originalUrl,
        rewritten,
        unreadable: fault ?? (typeof method === 'string' ? null : method),
        cost: null,
        peek: false,
        hold: true,
        plan: null,
      };
      try {
        if (preflight === null) enforcer.decideWith(question, (verdict) => proceed(verdict, guarded, next));
        else settlePreflight(enforcer, { ...question, applicable: preflight }, guarded, next);
      } catch (error) {
        next(asError(error));
      }
    }
  },
  { fastify: '5.x', name: 'tollgate' },
);

function settlePreflight(
  enforcer: Enforcer,
  question: Question,
  guarded: GuardedRequest,
  next: (error?: Error) => void,
): void {
  const { cors } = enforcer.policy();
  // What is answered here needs no permit.
  enforcer.decideWith({ ...question, hold: cors === null }, (verdict) => {
    if (!passes(verdict)) enforcer.count(verdict);
    proceed(free(verdict), guarded, () => {
      if (cors === null) next();
      else answerPreflight(guarded.reply, cors);
    });
  });
}

function proceed(verdict: Verdict, guarded: GuardedRequest, next: (error?: Error) => void): void {
  const { reply } = guarded;
  try {
    guarded.verdict = verdict;
    // The client left while it was being decided about: nobody else will let go of what the decision took.
    if (guarded.ended) guarded.leave();
    else if (guarded.fault !== null) sendFault(reply, guarded.fault);
    else if (!passes(verdict)) refuse(reply, verdict);
    else if (verdict.decision.delayMs === 0) serve(reply, next);
    else hold(guarded, verdict.decision.delayMs, () => serve(reply, next));
  } catch (error) {
    // Others were decided about in the same call to Redis: what one request's answer throws is its own.
    next(asError(error));
  }
}

function hold(guarded: GuardedRequest, delayMs: number, serveIt: () => void): void {
  guarded.enforcer.metrics.delaySeconds.observe(delayMs / 1000);
  const timer = setTimeout(() => {
    guarded.end = null;
    serveIt();
  }, delayMs);
  guarded.end = () => {
    clearTimeout(timer);
    if (guarded.fault !== null) sendFault(guarded.reply, guarded.fault);
  };
}

function serve(reply: FastifyReply, next: () => void): void {
  sendContinue(reply.request.raw, reply.raw);
  next();
}

function asError(error: unknown): Error {
  return error instanceof Error ? error : new Error(String(error));
}

/** Answers a refused request; headers follow in `onSend` as for any other. */
function refuse(reply: FastifyReply, verdict: Verdict): void {
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
