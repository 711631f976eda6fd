import type { IncomingHttpHeaders } from 'node:http';
import type { FastifyReply } from 'fastify';
import type { CorsPolicy } from '../../../shared/domain/policy.ts';
import type { Policy } from '../../../shared/domain/policy.ts';
import type { ApplicableLimits } from '../../../shared/policy/match.ts';
import { markOwn } from '../entrypoints/guarded-request.ts';
import { plainProblem, problemType } from './problem.ts';
import { passes } from '../enforcer/verdict.ts';
import type { Verdict } from '../enforcer/verdict.ts';

/** A browser sends a preflight before a request that an HTML form cannot send (Fetch standard, CORS protocol). */
export function isPreflight(method: string, headers: IncomingHttpHeaders): boolean {
  return (
    method === 'OPTIONS' &&
    headers.origin !== undefined &&
    headers['access-control-request-method'] !== undefined
  );
}

const preflightLimitsOf = new WeakMap<Policy, ApplicableLimits>();

/** The limit of preflights, by address: they have no credentials and are charged to no plan. */
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

/** The verdict that the event of a preflight is written from: it has no units. */
export function withoutUnits(verdict: Verdict): Verdict {
  return { ...verdict, units: passes(verdict) ? 0 : verdict.units };
}

/** Answers a preflight in place of the upstream: the origins of the policy may send any method and any fields. */
export function answerPreflight(reply: FastifyReply, cors: CorsPolicy): FastifyReply {
  const { headers } = reply.request;
  markOwn(reply);
  if (!isAllowed(cors, headers.origin)) {
    const detail = 'This origin may not call here: it is not among "cors.origins" of the policy.';
    return reply.code(403).type(problemType).send(plainProblem(403, detail));
  }
  reply.header('access-control-allow-methods', listIn(headers['access-control-request-method']));
  const fields = listIn(headers['access-control-request-headers']);
  if (fields !== '') reply.header('access-control-allow-headers', fields);
  reply.header('access-control-max-age', String(cors.maxAgeSeconds));
  addVary(reply, ['Access-Control-Request-Method', 'Access-Control-Request-Headers']);
  return reply.code(204).send();
}

/** The names of methods or fields that the browser sent; empty where the header has other characters. */
function listIn(header: string | string[] | undefined): string {
  const text = String(header ?? '');
  return /^[\w!#$%&'*+.^`|~, -]{1,4096}$/.test(text) ? text : '';
}

/** Lets a page of an allowed origin read a response of Tollgate's own. */
export function writeOwnCors(cors: CorsPolicy, reply: FastifyReply): void {
  const { origin } = reply.request.headers;
  if (cors.origins !== null) addVary(reply, ['Origin']);
  if (origin === undefined || !isAllowed(cors, origin)) return;
  reply.header('access-control-allow-origin', cors.origins === null ? '*' : origin);
  if (cors.credentials) reply.header('access-control-allow-credentials', 'true');
  reply.header('access-control-expose-headers', cors.exposedHeaders.join(', '));
}

/**
 * Adds the limit headers to the fields of an upstream's response that a page may read, where the upstream lets the page
 * read the response. The upstream's own fields do not change.
 */
export function exposeLimits(cors: CorsPolicy, reply: FastifyReply): void {
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

function addVary(reply: FastifyReply, names: readonly string[]): void {
  const present = fieldsOf(reply, 'vary');
  const listed = new Set(present.map((name) => name.toLowerCase()));
  if (listed.has('*')) return;
  const missing = names.filter((name) => !listed.has(name.toLowerCase()));
  if (missing.length > 0) reply.header('vary', [...present, ...missing].join(', '));
}

function fieldsOf(reply: FastifyReply, name: string): string[] {
  const value = reply.getHeader(name);
  const text = Array.isArray(value) ? value.join(',') : String(value ?? '');
  return text
    .split(',')
    .map((field) => field.trim())
    .filter((field) => field !== '');
}
