import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Enforcer } from '../../enforcer/enforcer.ts';
import { exposeLimits, writeOwnCors } from '../../responses/cors.ts';
import { writeLimitHeaders } from '../../responses/limit-headers.ts';
import { requestFault } from '../../transport/request-fault.ts';
import { guardRequest } from '../guard-request.ts';
import type { Next } from '../guard-request.ts';
import type { StatedReserve } from '../../reservations/stated-usage.ts';
import { GuardedRequest } from '../guarded-request.ts';
import { holdResponse } from './held-response.ts';
import { NodeReply } from './node-reply.ts';

/** A request of a framework. Routers of Express shorten `url` and keep the sent target in `originalUrl`. */
export type MiddlewareRequest = IncomingMessage & { readonly originalUrl?: string };

export type Middleware = (request: IncomingMessage, response: ServerResponse, next: Next) => void;

export interface MiddlewareOptions {
  readonly enforcer: Enforcer;
  /** The `entrypoint` in usage events; by default `middleware`. */
  readonly entrypoint?: string;
  /** True to refuse requests with 503 while they are decided without Redis. */
  readonly redisOnly?: boolean;
  /** Returns the units that a request costs; null: the cost of the route in the policy. */
  readonly costOf?: (request: IncomingMessage) => number | null;
  /** Returns what a request reserves until the application settles it; null: nothing. */
  readonly reserveOf?: (request: IncomingMessage) => StatedReserve | null;
  /** Returns true for a request that is served without a decision. */
  readonly isExempt?: (request: IncomingMessage) => boolean;
}

const guardedKey = Symbol('tollgate.guarded');

interface GuardedMessage extends IncomingMessage {
  [guardedKey]?: GuardedRequest;
}

/**
 * Middleware that applies Tollgate to every request of Express, Connect, or any server whose middleware has the
 * parameters `(request, response, next)`. It does the same as the Fastify plugin. Use it before all other middleware.
 */
export function createMiddleware(options: MiddlewareOptions): Middleware {
  const { enforcer, entrypoint = 'middleware', redisOnly = false } = options;
  const { costOf, reserveOf, isExempt } = options;
  return (request: GuardedMessage, response, next) => {
    // The middleware may be used twice on the path of a request, which is still one request.
    if (request[guardedKey] !== undefined || isExempt?.(request) === true) {
      next();
      return;
    }
    const reply = new NodeReply(request, response);
    const guarded = new GuardedRequest(enforcer, entrypoint, reply, false, redisOnly);
    reply.request.tollgate = guarded;
    request[guardedKey] = guarded;
    holdResponse(response, {
      onHeaders: () => writeHeaders(guarded),
      untilSent: (status) => guarded.meter(status),
    });
    const received = {
      raw: request,
      method: request.method ?? '',
      url: (request as MiddlewareRequest).originalUrl ?? request.url ?? '/',
      headers: request.headers,
      fault: requestFault(request),
      rewritten: false,
      cost: costOf?.(request) ?? null,
      complete: null,
      reserve: reserveOf?.(request) ?? null,
    };
    guardRequest(received, guarded, next);
  };
}

/** Returns the guarded request of the middleware; null if Tollgate did not decide about the request. */
export function guardedRequestOf(request: GuardedMessage): GuardedRequest | null {
  return request[guardedKey] ?? null;
}

function writeHeaders({ verdict, reply, own }: GuardedRequest): void {
  if (verdict === null) return;
  writeLimitHeaders(verdict, reply);
  const { cors } = verdict.policy;
  if (cors !== null) (own ? writeOwnCors : exposeLimits)(cors, reply);
}
