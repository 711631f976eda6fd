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
  /** The request-target as it was sent; see `readTarget`. */
  readonly url: string;
  /** True if the request is forwarded with its target in normal form, and not in the form that the client sent. */
  readonly rewritten?: boolean;
  /** Why the request cannot be read or served, if that was detected before its target was read. */
  readonly unreadable?: Fault | null;
  /** What `readOnce` has read, for a later reading of the same request. */
  earlier?: EarlierReading;
}

interface EarlierReading {
  readonly policy: Policy;
  readonly method: string;
  readonly url: string;
  readonly readings: RequestReadings;
}

/** What was read from a request. Decision, forwarding and usage event all use this one result. */
export interface RequestReadings {
  /** Null if the request cannot be read. */
  readonly target: Target | null;
  readonly route: Route | null;
  readonly unreadable: Fault | null;
}

const unclear: Unreadable = {
  status: 400,
  detail:
    'Servers could read this path as different routes: send it without ";", "//", dot segments and needless escapes, in the letter case of the documentation.',
};

/**
 * Builds the raw request from method, target and header fields. A header field may name a method that overrides the
 * request's own.
 */
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
  const { earlier } = request;
  if (earlier?.policy === policy && earlier.url === request.url && earlier.method === request.method)
    return earlier.readings;
  const target = readTarget(request.url, policy.requests);
  if (isUnreadable(target)) return unreadable(target);
  if (target.path === '*' && request.method !== 'OPTIONS') return unreadable(asterisk);
  if (policy.routes.length === 0) return { target, route: null, unreadable: null };
  const route = routeFor(policy, request.method, target, request.rewritten === true);
  return route === ambiguous ? unreadable(unclear) : { target, route, unreadable: null };
}

/** Reads a request that will be read again under the same policy, and keeps the result for that. */
export function readOnce(policy: Policy, request: RawRequest): RequestReadings {
  const readings = readRequest(policy, request);
  request.earlier = { policy, method: request.method, url: request.url, readings };
  return readings;
}

function unreadable(fault: Fault): RequestReadings {
  return { target: null, route: null, unreadable: fault };
}

/**
 * Returns the path that is stored for a target that cannot be read: the text that was sent, without query and fragment,
 * because these may contain a secret.
 */
export function writtenPath(url: string): string {
  return url.startsWith('/') ? (url.split(/[?#]/, 1)[0] ?? '') : '';
}
