import type { IncomingMessage } from 'node:http';
import type { FastifyRequest } from 'fastify';
import { fastifyPlugin } from 'fastify-plugin';
import type { Enforcer } from '../enforcer/enforcer.ts';
import { exposeLimits, writeOwnCors } from '../responses/cors.ts';
import { writeLimitHeaders } from '../responses/limit-headers.ts';
import { holdContinue } from '../transport/expectation.ts';
import type { Fault } from '../transport/fault.ts';
import { requestFault } from '../transport/request-fault.ts';
import { guardRequest } from './guard-request.ts';
import type { CompleteRequest } from './guard-request.ts';
import type { StatedReserve } from '../reservations/stated-usage.ts';
import { GuardedRequest } from './guarded-request.ts';

/** Options of one route: `{ config: { tollgate: { cost: 5 } } }`, or `false` to serve it without a decision. */
export type TollgateRouteOptions =
  | false
  | {
      /** Units that a request of this route costs, a whole number from 1. Absent: the cost in the policy. */
      readonly cost?: number | ((request: FastifyRequest) => number);
      /**
       * Estimate of the usage of a request, from its headers: it is reserved until the handler calls
       * `request.tollgate.settle({ usage })`.
       */
      readonly reserve?: StatedReserve | ((request: FastifyRequest) => StatedReserve);
    };

declare module 'fastify' {
  interface FastifyContextConfig {
    tollgate?: TollgateRouteOptions;
  }
}

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
  /** True to refuse requests with 503 while they are decided without Redis. */
  readonly redisOnly?: boolean;
  readonly complete?: CompleteRequest;
}

/**
 * Fastify plugin that applies Tollgate to every route of a server, also to unknown routes. It decides before the body
 * is read, responds to refused requests, delays requests by slow-down, sets the limit headers on every response, and
 * writes one event per request. Register it first and at the root.
 */
export const tollgate = fastifyPlugin<TollgateOptions>(
  (app, options, done) => {
    const { enforcer, entrypoint = 'plugin', rewritten = false, faultOf = requestFault } = options;
    const { redisOnly = false, complete = null } = options;
    holdContinue(app.server);
    app.decorateRequest('tollgate', null);
    app.addHook('onRequest', (request, reply, next) => {
      const ofRoute = request.routeOptions.config.tollgate;
      if (ofRoute === false) {
        next();
        return;
      }
      const { cost = null, reserve = null } = ofRoute ?? {};
      const guarded = new GuardedRequest(enforcer, entrypoint, reply, rewritten, redisOnly);
      request.tollgate = guarded;
      const received = {
        raw: request.raw,
        method: request.method,
        url: request.originalUrl,
        headers: request.headers,
        fault: faultOf(request.raw),
        rewritten,
        cost: typeof cost === 'function' ? cost(request) : cost,
        complete,
        reserve: typeof reserve === 'function' ? reserve(request) : reserve,
      };
      guardRequest(received, guarded, next);
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
  },
  { fastify: '5.x', name: 'tollgate' },
);
