import type { FastifyReply } from 'fastify';
import { attributeNames } from '../../../shared/domain/limit.ts';
import type { Limit } from '../../../shared/domain/limit.ts';
import { scopeText } from '../../../shared/domain/tenant.ts';
import type { KeyScope } from '../../../shared/domain/tenant.ts';
import type { Policy } from '../../../shared/domain/policy.ts';
import { nounFor } from '../../../shared/domain/text/counted.ts';
import { amountText, decimalAmount } from '../../../shared/domain/usage/quantity.ts';
import type { Quantity } from '../../../shared/domain/usage/quantity.ts';
import type { CredentialRejection } from '../../../shared/identity/credential-reading.ts';
import { durationInWords } from '../../../shared/domain/time/format-duration.ts';
import { TollgateError, messageOf } from '../../../shared/runtime/errors.ts';
import { problemTitles } from '../../../shared/runtime/http/problem-schema.ts';
import { retryAfterSeconds } from './limit-headers.ts';
import { closestLimit } from '../enforcer/verdict.ts';
import type { Verdict } from '../enforcer/verdict.ts';

export const problemType = 'application/problem+json';

/**
 * Body of an error response (RFC 9457). All problems have the first five fields; further fields depend on the kind of
 * problem.
 */
export interface Problem {
  readonly type: string;
  readonly title: string;
  readonly status: number;
  readonly detail: string;
  readonly error: string;
  readonly [extension: string]: unknown;
}

const registeredTypes = 'https://iana.org/assignments/http-problem-types#';

/**
 * Returns the problem of a refused request. Its status is 429 if the address is over a limit of addresses; else the
 * status of the fault, if the request cannot be served; else 401 or 503, if the credential was not accepted; else 503, if
 * the limits cannot be checked; else 403, if the API key may not send the request; else 429, because a limit or a block refuses.
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
      return limitedProblem(verdict, 'abnormal-usage-detected', blockDetail(verdict.block));
    case 'out_of_scope':
      return {
        ...scopeProblem(verdict.identity.apiKey?.scope?.stated ?? null, policy),
        decision_id: decision.id,
      };
    case 'unavailable':
      return {
        ...plainProblem(503, 'The limits cannot be checked now; try again.'),
        decision_id: decision.id,
      };
    case 'invalid':
      return {
        ...plainProblem(400, 'The cost must be a whole number from 1 to 1000000000.'),
        decision_id: decision.id,
      };
    default:
      return limitProblem(verdict);
  }
}

/** Returns the problem of a credential that was not accepted, for a response without a decision. */
export function credentialProblem(rejection: CredentialRejection, { links }: Policy): Problem {
  const { status, detail } = rejection;
  const plain = { ...plainProblem(status, detail), documentation_url: links.documentation };
  if (rejection.status !== 429) return plain;
  const { name, limit, windowMs, resetAtMs, retryAfterMs } = rejection.state;
  return {
    ...plain,
    type: `${registeredTypes}quota-exceeded`,
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

/** Returns the problem of a call that the scope of its API key does not include. */
export function scopeProblem(scope: KeyScope | null, { links }: Policy): Problem {
  const detail = `The scope of this API key does not include this call; the key may do: ${scopeText(scope)}.`;
  return {
    ...plainProblem(403, detail),
    ...(scope === null ? {} : { scope }),
    documentation_url: links.documentation,
  };
}

/**
 * Returns a problem that has only the fields of every problem. `error` repeats the detail, because the SDKs of OpenAI
 * print this field and no other.
 */
export function plainProblem(status: number, detail: string): Problem {
  return { type: 'about:blank', title: problemTitles[status] ?? 'Error', status, detail, error: detail };
}

function limitProblem(verdict: Verdict): Problem {
  const { decision, limits, policy, identity } = verdict;
  const state = closestLimit(decision.limits);
  const limit = [...limits, ...policy.platform, ...policy.shares].find(({ name }) => name === state?.name);
  if (state === null || limit === undefined)
    return limitedProblem(verdict, 'quota-exceeded', 'The request was refused.');
  const counted = countedOf(verdict, limit);
  const effective = { ...limit, limit: state.limit };
  const short = `${counted.text(state.limit)} ${limit.type === 'concurrent' ? 'at once' : `per ${durationInWords(limit.windowMs)}`}`;
  const kind = limit.type === 'concurrent' ? 'temporary-reduced-capacity' : 'quota-exceeded';
  const detail =
    decision.reason === 'cost_too_high'
      ? `This call costs ${counted.cost}, more than the limit of ${short} can ever allow; send less at once`
      : `${allowance(effective, counted, identity)}; ${waitOf(decision.retryAfterMs)}`;
  return {
    ...limitedProblem(verdict, kind, detail),
    error: `Rate limit exceeded: ${short}`,
    'violated-policies': decision.limitedBy,
    ...(counted.quantity === null ? {} : { quantity: counted.quantity.name }),
    limit: counted.amount(state.limit),
    window_seconds: Math.ceil(limit.windowMs / 1000),
    remaining: counted.amount(state.remaining),
    reset: Math.ceil(state.resetAtMs / 1000),
  };
}

/** How the amounts of a limit are written in the problem of a request. */
interface Counted {
  /** Null for a limit of units. */
  readonly quantity: Quantity | null;
  /** An amount of the limit in the unit of its quantity. */
  readonly amount: (value: number) => number | string;
  /** An amount without the noun of `noun`, unless the quantity has a name: `100`, `5 usd`. */
  readonly text: (value: number) => string;
  /** The cost of the request with its noun: `3 units`, `0.02 usd`. */
  readonly cost: string;
  readonly noun: string;
}

function countedOf({ policy, units, reserve }: Verdict, { of }: Limit): Counted {
  const quantity = policy.quantities.get(of) ?? null;
  if (quantity === null) {
    const noun = units === 1 ? 'request' : 'unit';
    return {
      quantity,
      amount: (value) => value,
      text: String,
      cost: `${units} ${nounFor(units, 'unit')}`,
      noun,
    };
  }
  const amount = (value: number): number | string => decimalAmount(quantity, value);
  const text = (value: number): string => `${amountText(quantity, value)} ${quantity.name}`;
  return { quantity, amount, text, cost: text(reserve?.amounts[of] ?? 0), noun: '' };
}

/**
 * Returns the fields that every 429 because of a limit or a block has. `limitProblem` adds the fields about the limit.
 */
function limitedProblem(
  { decision, identity, plan, policy }: Verdict,
  kind: string,
  detail: string,
): Problem {
  const seconds = retryAfterSeconds(decision.retryAfterMs);
  return {
    ...plainProblem(429, detail),
    type: `${registeredTypes}${kind}`,
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

/** Returns a text such as `10 requests per 1 minute allowed for this user on POST /agent/chat`. */
function allowance(
  limit: Limit,
  { text, noun }: Counted,
  caller: { tenantId: string | null; userId: string | null },
): string {
  const amount = noun === '' ? text(limit.limit) : `${limit.limit} ${nounFor(limit.limit, noun)}`;
  const span = limit.type === 'concurrent' ? 'at once' : `per ${durationInWords(limit.windowMs)}`;
  const onRoute = limit.route === null ? '' : ` on ${limit.route}`;
  return `${amount} ${span} allowed for ${subjectOf(limit, caller)}${onRoute}`;
}

/**
 * Returns the words for the subject that a limit counts, for example `this user`. If the limit counts a tenant or a
 * user and the caller has none, the caller was counted by its address.
 */
function subjectOf(
  { per }: Limit,
  { tenantId, userId }: { tenantId: string | null; userId: string | null },
): string {
  const [attribute] = attributeNames({ per });
  if (attribute !== undefined) return attribute === 'key' ? 'this API key' : `this ${attribute}`;
  if (per.includes('global')) return 'the whole platform';
  if (per.includes('group')) return 'this group of tenants';
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
  if (problem.status === 503 && !reply.hasHeader('retry-after')) void reply.header('retry-after', '1');
  // The body is sent as bytes. If it were an object, Fastify would add a charset, which the media type of
  // problems does not have.
  void reply
    .code(problem.status)
    .type(problemType)
    .send(Buffer.from(JSON.stringify(problem)));
}

/**
 * Responds after a failed read of ClickHouse: with 429 if the caller has too many queries in progress, with 503 if
 * ClickHouse failed.
 */
export function sendReadFailure(reply: FastifyReply, error: unknown, subject: string): FastifyReply {
  const full = error instanceof TollgateError && error.code === 'CLICKHOUSE_QUERIES_FULL';
  void reply.header('retry-after', '1');
  sendProblem(
    reply,
    full
      ? plainProblem(429, messageOf(error))
      : plainProblem(503, `${subject} cannot be read now; try again: ${messageOf(error)}`),
  );
  return reply;
}
