import type { FastifyReply } from 'fastify';
import type { Limit } from '../../../shared/domain/limit.ts';
import type { Policy } from '../../../shared/domain/policy.ts';
import type { CredentialRefusal } from '../../../shared/identity/refusal.ts';
import { durationInWords } from '../../../shared/domain/time/format-duration.ts';
import { TollgateError, messageOf } from '../../../shared/runtime/errors.ts';
import { problemTitles } from '../../../shared/runtime/http/problem-schema.ts';
import { retryAfterSeconds } from './headers.ts';
import { closestLimit } from '../enforcer/verdict.ts';
import type { Verdict } from '../enforcer/verdict.ts';

export const problemType = 'application/problem+json';

/** A refusal as clients read it (RFC 9457). Fields beyond the first four depend on the kind of refusal. */
export interface Problem {
  readonly type: string;
  readonly title: string;
  readonly status: number;
  readonly detail: string;
  readonly [extension: string]: unknown;
}

const registered = 'https://iana.org/assignments/http-problem-types#';

/**
 * The answer to a refused request: 429 where its address sent too many that are refused like it, its fault where it
 * cannot be served as it is, 401 or 503 for its credentials, 429 for everything else.
 */
export function problemOf(verdict: Verdict): Problem {
  const { decision, credentialRejection, addressRejection, unreadable, plan, policy } = verdict;
  if (addressRejection !== null)
    return { ...credentialProblem(addressRejection, policy), plan: plan.name, decision_id: decision.id };
  if (unreadable !== null) {
    return {
      ...plainProblem(unreadable.status, unreadable.detail),
      documentation_url: policy.links.documentation,
      decision_id: decision.id,
    };
  }
  if (credentialRejection !== null)
    return { ...credentialProblem(credentialRejection, policy), decision_id: decision.id };
  switch (decision.reason) {
    case 'blocked':
      return refusal(verdict, 'abnormal-usage-detected', blockDetail(verdict.block));
    case 'invalid':
      return {
        ...plainProblem(400, 'The cost must be a whole number from 1 to 1000000000.'),
        decision_id: decision.id,
      };
    default:
      return limitProblem(verdict);
  }
}

/** The answer to a refused credential where nothing was decided. */
export function credentialProblem(refusal: CredentialRefusal, { links }: Policy): Problem {
  const { status, detail } = refusal;
  const plain = { ...plainProblem(status, detail), documentation_url: links.documentation };
  if (refusal.status !== 429) return plain;
  const { name, limit, windowMs, resetAtMs, retryAfterMs } = refusal.state;
  return {
    ...plain,
    type: `${registered}quota-exceeded`,
    error: detail,
    'violated-policies': [name],
    limit,
    window_seconds: Math.ceil(windowMs / 1000),
    remaining: 0,
    retry_after_seconds: retryAfterSeconds(retryAfterMs),
    reset: Math.ceil(resetAtMs / 1000),
    tenant_id: null,
    upgrade_url: links.upgrade,
  };
}

/** A problem that needs no decision to be told. */
export function plainProblem(status: number, detail: string): Problem {
  return { type: 'about:blank', title: problemTitles[status] ?? 'Error', status, detail };
}

function limitProblem(verdict: Verdict): Problem {
  const { decision, limits, policy, units, identity } = verdict;
  const state = closestLimit(decision.limits);
  const limit = [...limits, ...policy.platform, ...policy.shares].find(({ name }) => name === state?.name);
  if (state === null || limit === undefined)
    return refusal(verdict, 'quota-exceeded', 'The request was refused.');
  const effective = { ...limit, limit: state.limit };
  const short = `${state.limit} ${limit.type === 'concurrent' ? 'at once' : `per ${durationInWords(limit.windowMs)}`}`;
  const kind = limit.type === 'concurrent' ? 'temporary-reduced-capacity' : 'quota-exceeded';
  const detail =
    decision.reason === 'cost_too_high'
      ? `This call costs ${units} units, more than the limit of ${short} can ever allow; send less at once`
      : `${allowance(effective, units, identity)}; ${waitOf(decision.retryAfterMs)}`;
  return {
    ...refusal(verdict, kind, detail),
    error: `Rate limit exceeded: ${short}`,
    'violated-policies': decision.limitedBy,
    limit: state.limit,
    window_seconds: Math.ceil(limit.windowMs / 1000),
    remaining: state.remaining,
    reset: Math.ceil(state.resetAtMs / 1000),
  };
}

/** What every 429 carries; the limit's own fields come on top. */
function refusal({ decision, identity, plan, policy }: Verdict, kind: string, detail: string): Problem {
  const seconds = retryAfterSeconds(decision.retryAfterMs);
  return {
    type: `${registered}${kind}`,
    title: 'Too many requests',
    status: 429,
    detail,
    error: detail,
    'violated-policies': decision.limitedBy,
    limit: 0,
    window_seconds: 0,
    remaining: 0,
    ...(seconds === null ? {} : { retry_after_seconds: seconds }),
    tenant_id: identity.tenantId,
    plan: plan.name,
    documentation_url: policy.links.documentation,
    upgrade_url: policy.links.upgrade,
    decision_id: decision.id,
  };
}

/** `10 requests per 1 minute allowed for this user on POST /agent/chat` */
function allowance(
  limit: Limit,
  units: number,
  caller: { tenantId: string | null; userId: string | null },
): string {
  const noun = units === 1 ? 'request' : 'unit';
  const amount = `${limit.limit} ${noun}${limit.limit === 1 ? '' : 's'}`;
  const span = limit.type === 'concurrent' ? 'at once' : `per ${durationInWords(limit.windowMs)}`;
  const place = limit.route === null ? '' : ` on ${limit.route}`;
  return `${amount} ${span} allowed for ${whose(limit, caller)}${place}`;
}

/** Says whose usage is full. A part of the identity the caller does not have was counted by address. */
function whose(
  { per }: Limit,
  { tenantId, userId }: { tenantId: string | null; userId: string | null },
): string {
  if (per.includes('global')) return 'the whole platform';
  if (per.includes('user')) return userId === null ? 'this address' : 'this user';
  if (per.includes('ip')) return 'this address';
  return tenantId === null ? 'this address' : 'this tenant';
}

function waitOf(retryAfterMs: number | null): string {
  const seconds = retryAfterSeconds(retryAfterMs);
  return seconds === null ? 'waiting does not help' : `try again in ${seconds} s`;
}

export function blockDetail(block: Verdict['block']): string {
  const until = block?.untilMs ?? null;
  const span = until === null ? 'until further notice' : `until ${new Date(until).toISOString()}`;
  const reason = block?.reason ?? '';
  return `This tenant is blocked ${span}${reason === '' ? '' : `: ${reason}`}`;
}

export function sendProblem(reply: FastifyReply, problem: Problem): void {
  if (problem.status === 401) void reply.header('www-authenticate', 'Bearer');
  // As bytes: to an object Fastify would add a charset, which this media type does not have and some clients do not expect.
  void reply
    .code(problem.status)
    .type(problemType)
    .send(Buffer.from(JSON.stringify(problem)));
}

/** Answers a failed read of ClickHouse: 429 where the caller's own queries are too many, 503 where it did not answer. */
export function sendReadFailure(reply: FastifyReply, error: unknown, what: string): FastifyReply {
  const full = error instanceof TollgateError && error.code === 'CLICKHOUSE_QUERIES_FULL';
  void reply.header('retry-after', '1');
  sendProblem(
    reply,
    full
      ? plainProblem(429, messageOf(error))
      : plainProblem(503, `${what} cannot be read now; try again: ${messageOf(error)}`),
  );
  return reply;
}
