import type { FastifyInstance, FastifyReply, FastifyRequest, RouteOptions } from 'fastify';
import { TollgateError } from '../errors.ts';

/**
 * Which credential opens a route. Every route declares its access in its `config`, or its scope declares it for the
 * route.
 *
 * - `public`: no credential is needed.
 * - `decision`: the rate limit decision reads the credential and responds to an invalid one.
 * - `credential`: a verified credential of a tenant or of a service.
 * - `admin`: the admin token.
 * - `portal-session`, `operator-session`: the session cookie of the portal or of the operator console.
 */
export type Access = 'public' | 'decision' | 'credential' | 'admin' | 'portal-session' | 'operator-session';

declare module 'fastify' {
  interface FastifyContextConfig {
    access: Access;
  }
  interface FastifyInstance {
    /** Every route of this listener with its access. The list is complete once the server is ready. */
    routeAccess: readonly RouteAccess[];
  }
}

export interface RouteAccess {
  readonly method: string;
  /** Registered pattern, e.g. `/admin/v1/tenants/:id`. */
  readonly url: string;
  readonly access: Access | undefined;
}

/** Sends the response if the credential does not open the route; otherwise does nothing. */
export type Guard = (
  request: FastifyRequest,
  reply: FastifyReply,
) => FastifyReply | undefined | Promise<FastifyReply | undefined>;

export interface RouteGuards {
  /** Name of the listener in error messages. */
  readonly listener: string;
  /** The only routes that need no guard, e.g. `GET /healthz`; `*` stands for any method. */
  readonly openRoutes: readonly string[];
  readonly guards: Partial<Readonly<Record<Access, Guard>>>;
  /** Guard of requests that match no route. If it is absent, the response to these requests is a 404. */
  readonly unmatched?: Guard;
}

/**
 * Authorises each request by the route that the router matched, never by the text of the request target, so that no
 * spelling of a target bypasses a guard. Call it before any route is registered. The server does not start if a route
 * declares no access, if no guard is set for its access, or if it needs no guard and is not listed in `openRoutes`.
 */
export function guardRoutes(app: FastifyInstance, options: RouteGuards): void {
  const { guards, unmatched } = options;
  const found: RouteOptions[] = [];
  // Evaluated only after all hooks have run, because the scope of a route may declare its access in a hook.
  app.decorate('routeAccess', { getter: () => found.flatMap(accessOf) });
  app.addHook('onRoute', (route) => {
    found.push(route);
  });
  app.addHook('onReady', (done) => {
    const violations = app.routeAccess.flatMap((route) => violationsOf(route, options));
    done(
      violations.length === 0 ? undefined : new TollgateError('ROUTE_ACCESS_INVALID', violations.join('\n')),
    );
  });
  // Without guards, requests need no hook.
  if (Object.keys(guards).length === 0 && unmatched === undefined) return;
  app.addHook('onRequest', (request, reply, next) => {
    const guard = request.is404 ? unmatched : guards[request.routeOptions.config.access];
    const answer = guard?.(request, reply);
    if (answer === undefined) next();
    else if (answer instanceof Promise) {
      answer.then((sent) => {
        if (sent === undefined) next();
      }, next);
    }
  });
}

/** Sets this access for every route of the scope that declares no access itself. */
export function declareAccess(scope: Pick<FastifyInstance, 'addHook'>, access: Access): void {
  scope.addHook('onRoute', (route) => {
    route.config = { access, ...route.config };
  });
}

function accessOf({ method, url, config }: RouteOptions): RouteAccess[] {
  return [method].flat().map((one) => ({ method: one, url, access: config?.access }));
}

function violationsOf(
  { method, url, access }: RouteAccess,
  { listener, openRoutes, guards }: RouteGuards,
): string[] {
  const name = `${listener}: ${method} ${url}`;
  if (access === undefined) return [`${name} declares no access: add it to the route's config.`];
  if (guards[access] !== undefined) return [];
  if (access !== 'public' && access !== 'decision') return [`${name} needs “${access}”, which has no guard.`];
  const listed = [method, ...(method === 'HEAD' ? ['GET'] : []), '*'].some((one) =>
    openRoutes.includes(`${one} ${url}`),
  );
  return listed ? [] : [`${name} is open and is not among the open routes of this listener.`];
}
