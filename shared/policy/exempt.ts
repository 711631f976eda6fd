import type { Policy, Route } from '../domain/policy.ts';
import { AddressBlocks } from './address-blocks.ts';

/** Compiled once for each list of addresses, and garbage-collected with it. */
const blocksOf = new WeakMap<readonly string[], AddressBlocks>();

/**
 * Whether the policy exempts a request from all limits, because of its route or of the address of its client. `path` is
 * the path in normal form; `ip` is null if the address of the client is not known.
 */
export function isExempt(
  { exemptAddresses }: Policy,
  route: Route | null,
  path: string,
  ip: string | null,
): boolean {
  if (route !== null && route.exempt && hasSameEnd(route, path)) return true;
  if (exemptAddresses.length === 0 || ip === null) return false;
  let blocks = blocksOf.get(exemptAddresses);
  if (blocks === undefined) blocksOf.set(exemptAddresses, (blocks = new AddressBlocks(exemptAddresses)));
  return blocks.contains(ip);
}

/**
 * Matching ignores a final slash, but an upstream may serve another route with it. That must not make a path exempt which
 * is not in the policy.
 */
function hasSameEnd({ match }: Route, path: string): boolean {
  return match.endsWith('/**') || match.endsWith('/') === path.endsWith('/');
}
