import type { FastifyInstance, FastifyReply, FastifyRequest, RouteOptions } from 'fastify';
import type { Role } from '../../domain/operators/operator.ts';
import { roles } from '../../domain/operators/operator.ts';
import { TollgateError } from '../errors.ts';

/**
 * Which credential opens a route. Every route declares its access in its `config`, or its scope declares it for the
 * route.
 *
 * - `public`: no credential is needed.
 * - `decision`: the rate limit decision reads the credential and responds to an invalid one.
 * - `credential`: a verified credential of a tenant or of a service.
 * - `operator-token:ROLE`: the token of an operator who has this role or a higher one, or the admin token.
 * - `portal-session`: the session cookie of the portal.
 * - `operator-session:ROLE`: the session cookie of an operator who has this role or a higher one.
 */
export type Access =
  | 'public'
  | 'decision'
  | 'credential'
  | 'portal-session'
  | `${'operator-token' | 'operator-session'}:${Role}`;

declare module 'fastify' {
  interface FastifyContextConfig {
    access?: Access;
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
    const { access = 'public' } = request.routeOptions.config;
    const guard = request.is404 ? unmatched : guards[access];
    const answer = guard?.(request, reply);
    if (answer === undefined) next();
    else if (answer instanceof Promise) {
      answer.then((sent) => {
        if (sent === undefined) next();
      }, next);
    }
  });
}

/**
 * Sets this access for the routes of the scope that declare no access themselves: for all routes, or only for routes
 * that read (GET and HEAD), so that each route that changes something has to declare its own.
 */
export function declareAccess(
  scope: Pick<FastifyInstance, 'addHook'>,
  access: Access,
  of: 'all routes' | 'reads' = 'all routes',
): void {
  scope.addHook('onRoute', (route) => {
    const reads = [route.method].flat().every((method) => method === 'GET' || method === 'HEAD');
    if (of === 'all routes' || reads) route.config = { access, ...route.config };
  });
}

/** One guard for each role of operators, for `guards`. */
export function guardsOfRoles<Kind extends 'operator-token' | 'operator-session'>(
  kind: Kind,
  guard: (needed: Role, ...request: Parameters<Guard>) => ReturnType<Guard>,
): Readonly<Record<`${Kind}:${Role}`, Guard>> {
  return Object.fromEntries(
    roles.map((role) => [`${kind}:${role}`, (...request: Parameters<Guard>) => guard(role, ...request)]),
  ) as Record<`${Kind}:${Role}`, Guard>;
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
