import type { IncomingHttpHeaders } from 'node:http';
import type { Policy, Route } from '../../../shared/domain/policy.ts';
import { readMethod } from '../../../shared/domain/request/request-method.ts';
import type { RequestReading } from '../../../shared/domain/request/request-reading.ts';
import { isUnreadable, readTarget } from '../../../shared/domain/request/request-target.ts';
import type { Target, Unreadable } from '../../../shared/domain/request/target.ts';
import { ambiguous, routeFor } from '../../../shared/policy/match.ts';
import type { Fault } from '../transport/fault.ts';

/** A request as it came. */
export interface RawRequest {
  readonly method: string;
  /** The request-target; see `readTarget`. */
  readonly url: string;
  /** True where the upstream gets the target in its normal form, whatever it came as. */
  readonly rewritten?: boolean;
  /** Why the rest of the request cannot be read. */
  readonly unreadable?: Fault | null;
}

/** The one reading of a request: it is decided about, forwarded and stored as this. */
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

/** Of a request with header fields, in which another method may be named. */
export function receivedRequest(
  method: string,
  url: string,
  headers: IncomingHttpHeaders,
  reading: RequestReading,
): RawRequest {
  const read = readMethod(method, headers, reading);
  return typeof read === 'string'
    ? { method: read, url, unreadable: null }
    : { method, url, unreadable: read };
}

const asterisk: Unreadable = { status: 400, detail: 'Only OPTIONS may ask about "*".' };

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

function unreadable(why: Fault): RequestReadings {
  return { target: null, route: null, unreadable: why };
}

/** What is kept of a target that cannot be read: as it came, without what may be a secret. */
export function writtenPath(url: string): string {
  return url.startsWith('/') ? (url.split(/[?#]/, 1)[0] ?? '') : '';
}
