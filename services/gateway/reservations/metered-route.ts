import type { Policy, Route } from '../../../shared/domain/policy.ts';
import type { UsageReading } from '../../../shared/domain/usage/usage-reading.ts';
import { readOnce } from '../enforcer/read-request.ts';
import type { RawRequest } from '../enforcer/read-request.ts';

/** A route whose usage is read. */
export type MeteredRoute = Route & { readonly usage: UsageReading };

/**
 * The route of a request, if the usage of its calls is read; otherwise null. It costs nothing under policies without
 * these routes.
 */
export function meteredRoute(policy: Policy, request: RawRequest): MeteredRoute | null {
  if (!hasMeteredRoutes(policy)) return null;
  const { route } = readOnce(policy, request);
  return route !== null && isMetered(route) ? route : null;
}

const meteredPolicies = new WeakMap<Policy, boolean>();

function hasMeteredRoutes(policy: Policy): boolean {
  let has = meteredPolicies.get(policy);
  if (has === undefined) meteredPolicies.set(policy, (has = policy.routes.some(isMetered)));
  return has;
}

function isMetered(route: Route): route is MeteredRoute {
  return route.usage !== null;
}
