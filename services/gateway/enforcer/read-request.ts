import type { IncomingHttpHeaders } from 'node:http';
import type { Policy, Route } from '../../../shared/domain/policy.ts';
import { readMethod } from '../../../shared/domain/request/request-method.ts';
import type { RequestReading } from '../../../shared/domain/request/request-reading.ts';
import { isUnreadable, readTarget } from '../../../shared/domain/request/request-target.ts';
import type { Target, Unreadable } from '../../../shared/domain/request/target.ts';
import { ambiguous, routeFor } from '../../../shared/policy/match.ts';
import type { Fault } from '../transport/fault.ts';

/** A request as the client or a proxy sent it. */
export interface RawRequest {
  readonly method: string;
  /** The request-target; see `readTarget`. */
  readonly url: string;
  /** True where the upstream gets the target in its normal form, whatever form the client sent. */
  readonly rewritten?: boolean;
  /** Why the request cannot be read or served, where that is detected before its target is read. */
  readonly unreadable?: Fault | null;
}

/** The one reading of a request: decision, forwarding and event all use it. */
export interface RequestReadings {
  /** Null where the request cannot be read. */
  readonly target: Target | null;
  readonly route: Route | null;
  readonly unreadable: Fault | null;
}

const unclear: Unreadable = {
  status: 400,
  detail:
    'Servers could read this path as different routes: send it without ";", "//", dot segments and needless escapes, in the letter case of the documentation.',
};

/** The raw request behind a request with header fields, which may name another method. */
export function receivedRequest(
  method: string,
  url: string,
  headers: IncomingHttpHeaders,
  reading: RequestReading,
): RawRequest {
  const methodOrFault = readMethod(method, headers, reading);
  return typeof methodOrFault === 'string'
    ? { method: methodOrFault, url, unreadable: null }
    : { method, url, unreadable: methodOrFault };
}

const asterisk: Unreadable = { status: 400, detail: 'Only OPTIONS may have the target "*".' };

export function readRequest(policy: Policy, request: RawRequest): RequestReadings {
  const { unreadable: fault = null } = request;
  if (fault !== null) return unreadable(fault);
  const target = readTarget(request.url, policy.requests);
  if (isUnreadable(target)) return unreadable(target);
  if (target.path === '*' && request.method !== 'OPTIONS') return unreadable(asterisk);
  if (policy.routes.length === 0) return { target, route: null, unreadable: null };
  const route = routeFor(policy, request.method, target, request.rewritten === true);
  return route === ambiguous ? unreadable(unclear) : { target, route, unreadable: null };
}

function unreadable(fault: Fault): RequestReadings {
  return { target: null, route: null, unreadable: fault };
}

/**
 * The path to store of a target that cannot be read: unchanged, without query and fragment, which may hold a secret.
 */
export function writtenPath(url: string): string {
  return url.startsWith('/') ? (url.split(/[?#]/, 1)[0] ?? '') : '';
}
