import { status } from '@grpc/grpc-js';
import type { LimitState } from '../../../../shared/domain/limit.ts';
import { percentEncoded } from '../../../../shared/domain/request/request-target.ts';
import type { Enforcer } from '../../enforcer/enforcer.ts';
import { limitHeaders } from '../../responses/limit-headers.ts';
import { problemOf, problemType } from '../../responses/problem.ts';
import { closestLimit, passes } from '../../enforcer/verdict.ts';
import type { Verdict } from '../../enforcer/verdict.ts';
import { describedRequests } from './descriptors.ts';
import type { DescribedRequest } from './descriptors.ts';
import { readCallUsage, recordCallUsage, reserveOfCheck } from './call-usage.ts';
import type { CallUsage } from './call-usage.ts';
import type { GrpcResponse, RateLimitRequest } from './messages.ts';

const uint32Max = 0xffff_ffff;

interface ReadRequest {
  readonly request: DescribedRequest;
  readonly usage: CallUsage | null;
}

interface DecidedRequest extends ReadRequest {
  readonly verdict: Verdict;
  /** True if units were charged for the request. */
  readonly charged: boolean;
  /** Usage of a call that has ended, which is recorded. */
  readonly ended: CallUsage | null;
}

/**
 * Envoy's `ShouldRateLimit`. All descriptors that describe the same request get the status of one decision. A call with
 * several requests passes completely or not at all: if one request is refused, the units of the requests before it are
 * returned, and the limits of the requests after it are read without a charge.
 *
 * Hits of 0 charge nothing and check whether one more unit would pass; a refusal is recorded like any other. Negative
 * hits return units and always pass. A descriptor with `is_negative_hits` and 0 hits returns no units.
 *
 * Descriptors with a quantity state the usage of a call. With hits of 0 they check before the call whether anything is
 * left. With hits, the call has ended: its usage is recorded in full, and is never refused.
 */
export async function limitRate(
  enforcer: Enforcer,
  call: RateLimitRequest,
  waitMsMax: number,
): Promise<GrpcResponse> {
  const startedAt = performance.now();
  const requests = readRequests(enforcer, call);
  if (typeof requests === 'string') return { code: status.INVALID_ARGUMENT, details: requests };
  const decided: DecidedRequest[] = [];
  let refused: DecidedRequest | null = null;
  for (const read of requests) {
    const charged: boolean = refused === null && charges(read);
    const current = await decideRequest(enforcer, read, charged, waitMsMax);
    decided.push(current);
    if (refused === null && mayRefuse(read) && !passes(current.verdict)) refused = current;
  }
  if (refused === null) await recordAllowed(enforcer, decided, startedAt);
  else await recordRefused(enforcer, decided, refused, startedAt);
  return { message: responseOf(decided, refused, call.descriptors.length) };
}

/** Returns the requests of a call with their usage, or a sentence that describes the call's violation. */
function readRequests(enforcer: Enforcer, call: RateLimitRequest): ReadRequest[] | string {
  const requests = describedRequests(call);
  if (typeof requests === 'string') return requests;
  const result: ReadRequest[] = [];
  for (const request of requests) {
    const usage = request.usage === null ? null : readCallUsage(enforcer.policy(), request.usage);
    if (typeof usage === 'string') return usage;
    result.push({ request, usage });
  }
  return result;
}

/** Returns true for a request that is charged by its decision, and not only read. */
function charges({ request, usage }: ReadRequest): boolean {
  if (usage !== null) return !usage.isEnd && usage.described.requestId !== null;
  return request.hits !== 0 && !request.returns;
}

function mayRefuse({ request, usage }: ReadRequest): boolean {
  return !request.returns && usage?.isEnd !== true;
}

/**
 * Decides one request. A second check with the `request_id` of an earlier check counts as the end of that call, without
 * usage, so that nothing stays reserved. The id may also belong to another call, by mistake. The second check
 * therefore reads the limits, and is refused if one of them has nothing left.
 */
async function decideRequest(
  enforcer: Enforcer,
  read: ReadRequest,
  charged: boolean,
  waitMsMax: number,
): Promise<DecidedRequest> {
  const { usage } = read;
  const verdict = await decideDescribed(enforcer, read, !charged, waitMsMax);
  if (verdict.reservation?.repeated !== true || usage === null)
    return { ...read, verdict, charged, ended: usage?.isEnd === true ? usage : null };
  const peeked = await decideDescribed(enforcer, read, true, waitMsMax);
  return { ...read, verdict: peeked, charged: false, ended: usage };
}

function decideDescribed(
  enforcer: Enforcer,
  { request, usage }: ReadRequest,
  peek: boolean,
  waitMsMax: number,
): Promise<Verdict> {
  const { tenantId, userId, ip, method, path, plan, hits, override } = request;
  return enforcer.decide({
    caller: {
      identity: { tenantId, userId, planClaim: null, ip, service: null, method: 'service' },
      rejection: null,
    },
    method,
    url: percentEncoded(path),
    cost: hits === 0 ? null : hits,
    peek,
    hold: false,
    plan,
    waitMsMax,
    ...(override === null ? {} : { override }),
    ...(usage === null ? {} : { reserve: reserveOfCheck(usage) }),
  });
}

/**
 * For a call whose requests all pass: writes the events of the charged requests, and returns the units of requests with
 * negative hits.
 */
async function recordAllowed(
  enforcer: Enforcer,
  decided: readonly DecidedRequest[],
  startedAt: number,
): Promise<void> {
  await Promise.all(
    decided.map(async ({ request, verdict, ended, charged }) => {
      if (ended !== null) await recordCallUsage(enforcer, verdict, ended);
      else if (charged) await meter(enforcer, verdict, startedAt);
      else if (request.returns && request.hits !== 0) await enforcer.refund(verdict);
    }),
  );
}

/**
 * For a call with a refused request: writes the event of this request, and returns the units of the requests that
 * passed before it.
 */
async function recordRefused(
  enforcer: Enforcer,
  decided: readonly DecidedRequest[],
  refused: DecidedRequest,
  startedAt: number,
): Promise<void> {
  if (!refused.charged) enforcer.recordDecision(refused.verdict);
  const passed = decided.filter(({ verdict, charged }) => charged && passes(verdict));
  await Promise.all([
    meter(enforcer, refused.verdict, startedAt),
    ...passed.map(({ verdict }) => enforcer.undo(verdict)),
    ...decided.map(({ verdict, ended }) =>
      ended === null ? null : recordCallUsage(enforcer, verdict, ended),
    ),
  ]);
}

function meter(enforcer: Enforcer, verdict: Verdict, startedAt: number): Promise<void> {
  const code = passes(verdict) ? 200 : problemOf(verdict).status;
  return enforcer.meter(verdict, {
    status: code,
    latencyMs: performance.now() - startedAt,
    entrypoint: 'rls',
  });
}

function responseOf(
  decided: readonly DecidedRequest[],
  refused: DecidedRequest | null,
  descriptors: number,
): object {
  const statuses = Array.from({ length: descriptors }, (): object => ({ code: 'OK' }));
  for (const { request, verdict } of decided) {
    for (const index of request.descriptors) statuses[index] = statusOf(request, verdict, index);
  }
  const reported = refused?.verdict ?? closestOf(decided);
  const headers = Object.entries(limitHeaders(reported)).map(([key, value]) => ({ key, value }));
  return {
    overall_code: refused === null ? 'OK' : 'OVER_LIMIT',
    statuses,
    response_headers_to_add:
      refused === null ? headers : [...headers, { key: 'content-type', value: problemType }],
    raw_body: refused === null ? Buffer.alloc(0) : Buffer.from(JSON.stringify(problemOf(reported))),
  };
}

/** The status of a descriptor with a quantity describes the limits of this quantity, if there are any. */
function statusOf({ returns, usage }: DescribedRequest, verdict: Verdict, index: number): object {
  const isEnd = usage !== null && [...usage.hits.values()].some((hits) => hits > 0);
  const code = returns || isEnd || passes(verdict) ? 'OK' : 'OVER_LIMIT';
  const { limits } = verdict.decision;
  const own = limits.filter(({ of }) => of === usage?.nameOf.get(index));
  const closest = closestLimit(own.length === 0 ? limits : own);
  return closest === null ? { code } : { code, ...windowOf(closest, verdict.decidedAtMs) };
}

/**
 * Returns the verdict whose limit headers are sent if all requests of a call pass: the verdict with the smallest
 * remaining share.
 */
function closestOf(decided: readonly DecidedRequest[]): Verdict {
  const [first, ...others] = decided.map(({ verdict }) => verdict);
  if (first === undefined) throw new TypeError('A call without a request is refused before its decision.');
  const share = ({ decision }: Verdict): number => {
    const closest = closestLimit(decision.limits);
    return closest === null || closest.limit === 0 ? Infinity : closest.remaining / closest.limit;
  };
  return others.reduce((closest, verdict) => (share(verdict) < share(closest) ? verdict : closest), first);
}

function windowOf(state: LimitState, nowMs: number): object {
  const seconds = Math.max(0, Math.ceil((state.resetAtMs - nowMs) / 1000));
  return {
    current_limit: {
      name: state.name,
      requests_per_unit: Math.min(uint32Max, state.limit),
      unit: units.get(state.windowMs) ?? 'UNKNOWN',
    },
    limit_remaining: Math.min(uint32Max, state.remaining),
    duration_until_reset: { seconds, nanos: 0 },
  };
}

const units: ReadonlyMap<number, string> = new Map([
  [1_000, 'SECOND'],
  [60_000, 'MINUTE'],
  [3_600_000, 'HOUR'],
  [86_400_000, 'DAY'],
  [7 * 86_400_000, 'WEEK'],
  [30 * 86_400_000, 'MONTH'],
  [365 * 86_400_000, 'YEAR'],
]);
