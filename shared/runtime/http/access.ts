import type { FastifyInstance, FastifyReply, FastifyRequest, RouteOptions } from 'fastify';
import { TollgateError } from '../errors.ts';

/**
 * The credential that a route requires. Every route names it in its `config`, or the scope that registers the route does.
 *
 * - `public`: none is needed.
 * - `decision`: the decision of the rate limits reads the credential and responds to an invalid one.
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
    /** Every route of this listener with its access; complete once the server is ready. */
    routeAccess: readonly RouteAccess[];
  }
}

export interface RouteAccess {
  readonly method: string;
  /** Registered pattern, e.g. `/admin/v1/tenants/:id`. */
  readonly url: string;
  readonly access: Access | undefined;
}

/** Sends a response if the credential does not give access to the route. */
export type Guard = (
  request: FastifyRequest,
  reply: FastifyReply,
) => FastifyReply | undefined | Promise<FastifyReply | undefined>;

export interface RouteGuards {
  /** Name of the listener, for the error. */
  readonly listener: string;
  /** The only routes without a guard, e.g. `GET /healthz`; `*` is any method. */
  readonly openRoutes: readonly string[];
  readonly guards: Partial<Readonly<Record<Access, Guard>>>;
  /** Guard of requests that match no route. Absent: they get 404. */
  readonly unmatched?: Guard;
}

/**
 * Authorises each request by the route that the router matched, never by the text of its target, so that no spelling of
 * a target passes a guard. Call it before any route is registered. The server does not start with a route that declares
 * no access, that has no guard here, or that is open and not listed.
 */
export function guardRoutes(app: FastifyInstance, options: RouteGuards): void {
  const { guards, unmatched } = options;
  const found: RouteOptions[] = [];
  // Evaluated after all hooks, because the scope of a route may declare its access.
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
  // Without guards no hook is needed.
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

/** Sets the access of every route of the scope that declares none. */
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
