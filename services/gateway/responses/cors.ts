import type { IncomingHttpHeaders } from 'node:http';
import type { CorsPolicy } from '../../../shared/domain/policy.ts';
import type { Policy } from '../../../shared/domain/policy.ts';
import type { ApplicableLimits } from '../../../shared/policy/match.ts';
import { markOwn } from '../entrypoints/guarded-request.ts';
import type { GuardedReply } from '../entrypoints/guarded-request.ts';
import { plainProblem, problemType } from './problem.ts';
import { passes } from '../enforcer/verdict.ts';
import type { Verdict } from '../enforcer/verdict.ts';

type FieldsReply = Pick<GuardedReply, 'request' | 'header' | 'getHeader'>;

/**
 * True for a CORS preflight (Fetch standard): a browser sends it before each cross-origin request that an HTML form
 * could not send.
 */
export function isPreflight(method: string, headers: IncomingHttpHeaders): boolean {
  return (
    method === 'OPTIONS' &&
    headers.origin !== undefined &&
    headers['access-control-request-method'] !== undefined
  );
}

const preflightLimitsOf = new WeakMap<Policy, ApplicableLimits>();

/** Returns the limit of preflights per address. Preflights have no credentials, so they cannot be charged to a plan. */
export function preflightLimits(policy: Policy): ApplicableLimits {
  let applicable = preflightLimitsOf.get(policy);
  if (applicable === undefined) {
    const plan = policy.plans.get(policy.defaultPlan);
    if (plan === undefined) throw new Error(`The policy has no plan ${policy.defaultPlan}.`);
    applicable = { plan: { ...plan, limits: [], slowDown: null }, limits: [policy.preflight] };
    preflightLimitsOf.set(policy, applicable);
  }
  return applicable;
}

/** Returns the verdict from which the event of a preflight is written. An allowed preflight has 0 units. */
export function withoutUnits(verdict: Verdict): Verdict {
  return { ...verdict, units: passes(verdict) ? 0 : verdict.units };
}

/**
 * Answers a preflight, which is not forwarded to the upstream. An origin that the policy lists may send every method
 * and every header field.
 */
export function answerPreflight(reply: GuardedReply, cors: CorsPolicy): void {
  const { headers } = reply.request;
  markOwn(reply);
  if (!isAllowed(cors, headers.origin)) {
    const detail = 'This origin may not call here: it is not among "cors.origins" of the policy.';
    void reply.code(403).type(problemType).send(plainProblem(403, detail));
    return;
  }
  reply.header('access-control-allow-methods', listIn(headers['access-control-request-method']));
  const fields = listIn(headers['access-control-request-headers']);
  if (fields !== '') reply.header('access-control-allow-headers', fields);
  reply.header('access-control-max-age', String(cors.maxAgeSeconds));
  addVary(reply, ['Access-Control-Request-Method', 'Access-Control-Request-Headers']);
  void reply.code(204).send();
}

/**
 * Returns the list of methods or fields that the browser sent; empty if the header contains characters that are not
 * allowed in such a list.
 */
function listIn(header: string | string[] | undefined): string {
  const text = String(header ?? '');
  return /^[\w!#$%&'*+.^`|~, -]{1,4096}$/.test(text) ? text : '';
}

/**
 * Adds the CORS fields to a response of Tollgate itself, so that a page from an allowed origin can read the response.
 */
export function writeOwnCors(cors: CorsPolicy, reply: FieldsReply): void {
  const { origin } = reply.request.headers;
  if (cors.origins !== null) addVary(reply, ['Origin']);
  if (origin === undefined || !isAllowed(cors, origin)) return;
  reply.header('access-control-allow-origin', cors.origins === null ? '*' : origin);
  if (cors.credentials) reply.header('access-control-allow-credentials', 'true');
  reply.header('access-control-expose-headers', cors.exposedHeaders.join(', '));
}

/**
 * Adds the limit headers to the fields that a page may read (`Access-Control-Expose-Headers`), if the upstream allows
 * the page to read its response. The upstream's other CORS fields stay unchanged.
 */
export function exposeLimits(cors: CorsPolicy, reply: FieldsReply): void {
  const { origin } = reply.request.headers;
  if (origin === undefined || !isAllowed(cors, origin)) return;
  if (reply.getHeader('access-control-allow-origin') === undefined) return;
  const exposed = fieldsOf(reply, 'access-control-expose-headers');
  const names = new Set(exposed.map((name) => name.toLowerCase()));
  const missing = cors.exposedHeaders.filter((name) => !names.has(name));
  reply.header('access-control-expose-headers', [...exposed, ...missing].join(', '));
  if (cors.origins !== null) addVary(reply, ['Origin']);
}

function isAllowed({ origins }: CorsPolicy, origin: string | undefined): boolean {
  return origin !== undefined && (origins === null || origins.has(origin));
}

function addVary(reply: FieldsReply, names: readonly string[]): void {
  const present = fieldsOf(reply, 'vary');
  const listed = new Set(present.map((name) => name.toLowerCase()));
  if (listed.has('*')) return;
  const missing = names.filter((name) => !listed.has(name.toLowerCase()));
  if (missing.length > 0) reply.header('vary', [...present, ...missing].join(', '));
}

function fieldsOf(reply: FieldsReply, name: string): string[] {
  const value = reply.getHeader(name);
  const text = Array.isArray(value) ? value.join(',') : String(value ?? '');
  return text
    .split(',')
    .map((field) => field.trim())
    .filter((field) => field !== '');
}
