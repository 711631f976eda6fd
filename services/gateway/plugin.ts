import type { ServerResponse } from 'node:http';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { fastifyPlugin } from 'fastify-plugin';
import { readMethod } from '../../shared/domain/request-method.ts';
import type { Gate } from './gate.ts';
import { writeLimitHeaders } from './headers.ts';
import type { Identified } from './identify.ts';
import { problemOf, problemType } from './problem.ts';
import { passes } from './verdict.ts';
import type { Verdict } from './verdict.ts';

export interface TollgateOptions {
  readonly gate: Gate;
  /** Named in events; an API that uses the plugin in its own process leaves it out. */
  readonly door?: string;
  /** True where what follows serves `verdict.target`, the normal form, and not the target as it came. */
  readonly rewritten?: boolean;
}

/** One request on its way through: decided once, metered once, released once. */
interface Passage {
  readonly startedAt: number;
  /** Lets go of what is held for it. */
  readonly leave: (passage: Passage) => void;
  verdict: Verdict | null;
  metered: boolean;
  ended: boolean;
  end: (() => void) | null;
}

declare module 'fastify' {
  interface FastifyRequest {
    tollgate: Passage | null;
  }
}

const settled = Promise.resolve();

/** Nginx's number for a client that left before it was answered. */
const clientLeft = 499;

/**
 * Puts Tollgate in front of every route of a Fastify server, unknown ones included: decides before the body is read,
 * answers what is refused, holds back what is to be slowed down, sets the limit headers on every response and writes
 * one event for each. Register it first and at the root.
 */
export const tollgate = fastifyPlugin<TollgateOptions>(
  (app, { gate, door = 'plugin', rewritten = false }, done) => {
    app.decorateRequest('tollgate', null);
    app.addHook('onRequest', (request, reply, next) => {
      const passage: Passage = {
        startedAt: performance.now(),
        leave,
        verdict: null,
        metered: false,
        ended: false,
        end: null,
      };
      request.tollgate = passage;
      gate.metrics.opened();
      watchClose(reply.raw, passage);
      const who = gate.identify(request.headers, request.socket.remoteAddress ?? '');
      if (who instanceof Promise) {
        who.then((known) => decide(known, passage, request, reply, next)).catch(next);
      } else decide(who, passage, request, reply, next);
    });
    app.addHook('onSend', (request, reply, payload, next) => {
      const passage = request.tollgate;
      if (passage === null || passage.verdict === null) {
        next(null, payload);
        return;
      }
      writeLimitHeaders(passage.verdict, reply);
      // The event is safe before the response leaves: what a client was told is never forgotten.
      void meter(passage, reply.statusCode).then(() => next(null, payload));
    });
    done();

    function decide(
      who: Identified,
      passage: Passage,
      request: FastifyRequest,
      reply: FastifyReply,
      next: (error?: Error) => void,
    ): void {
      const method = readMethod(request.method, request.headers, gate.policy().requests);
      const question = {
        who,
        method: typeof method === 'string' ? method : request.method,
        url: request.originalUrl,
        rewritten,
        unreadable: typeof method === 'string' ? null : method,
        cost: null,
        peek: false,
        hold: true,
        plan: null,
      };
      try {
        gate.settle(question, (verdict) => proceed(verdict, passage, reply, next));
      } catch (error) {
        next(asError(error));
      }
    }

    function proceed(
      verdict: Verdict,
      passage: Passage,
      reply: FastifyReply,
      next: (error?: Error) => void,
    ): void {
      try {
        passage.verdict = verdict;
        // The client left while it was being decided about: nobody else will let go of what the decision took.
        if (passage.ended) leave(passage);
        else if (!passes(verdict)) refuse(reply, verdict);
        else if (verdict.decision.delayMs === 0) next();
        else hold(passage, verdict.decision.delayMs, next);
      } catch (error) {
        // Others were decided about in the same call to Redis: what one request's answer throws is its own.
        next(asError(error));
      }
    }

    function hold(passage: Passage, delayMs: number, next: () => void): void {
      gate.metrics.delaySeconds.observe(delayMs / 1000);
      const timer = setTimeout(next, delayMs);
      passage.end = () => clearTimeout(timer);
    }

    /** The response is over, or the client left: whatever was held for it is let go, exactly once. */
    function leave(passage: Passage): void {
      if (!passage.ended) {
        passage.ended = true;
        gate.metrics.closed();
        passage.end?.();
      }
      passage.verdict?.release();
      if (!passage.metered) void meter(passage, clientLeft);
    }

    function meter(passage: Passage, status: number): Promise<void> {
      if (passage.metered || passage.verdict === null) return settled;
      passage.metered = true;
      return gate.meter(passage.verdict, { status, latencyMs: performance.now() - passage.startedAt, door });
    }
  },
  { fastify: '5.x', name: 'tollgate' },
);

const passageOf = Symbol('tollgate.passage');

interface Watched extends ServerResponse {
  [passageOf]?: Passage;
}

/**
 * `close` follows every response, answered or not, exactly once. One listener serves all of them: a closure and a
 * wrapper for each would be garbage for each.
 */
function watchClose(response: Watched, passage: Passage): void {
  response[passageOf] = passage;
  response.on('close', onClose);
}

function onClose(this: Watched): void {
  const passage = this[passageOf];
  passage?.leave(passage);
}

function asError(error: unknown): Error {
  return error instanceof Error ? error : new Error(String(error));
}

/** Answers a refused request; headers follow in `onSend` as for any other. */
export function refuse(reply: FastifyReply, verdict: Verdict): void {
  const problem = problemOf(verdict);
  if (problem.status === 401) reply.header('www-authenticate', 'Bearer error="invalid_token"');
  if (problem.status === 503) reply.header('retry-after', '1');
  void reply.code(problem.status).type(problemType).send(problem);
}
