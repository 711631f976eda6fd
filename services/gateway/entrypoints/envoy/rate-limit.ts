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
import type { GrpcResponse, RateLimitRequest } from './messages.ts';

const uint32Max = 0xffff_ffff;

interface DecidedRequest {
  readonly request: DescribedRequest;
  readonly verdict: Verdict;
  /** True if units were charged for the request. */
  readonly charged: boolean;
}

/**
 * Envoy's `ShouldRateLimit`. All descriptors that describe the same request get the status of one decision. A call with
 * several requests passes completely or not at all: if one request is refused, the units of the requests before it are
 * returned, and the limits of the requests after it are read without a charge.
 *
 * Hits of 0 charge nothing and check whether one more unit would pass; a refusal is recorded like any other. Negative
 * hits return units and always pass. A descriptor with `is_negative_hits` and 0 hits returns no units.
 */
export async function limitRate(
  enforcer: Enforcer,
  call: RateLimitRequest,
  waitMsMax: number,
): Promise<GrpcResponse> {
  const startedAt = performance.now();
  const requests = describedRequests(call);
  if (typeof requests === 'string') return { code: status.INVALID_ARGUMENT, details: requests };
  const decided: DecidedRequest[] = [];
  let refused: DecidedRequest | null = null;
  for (const request of requests) {
    const charged: boolean = refused === null && request.hits !== 0 && !request.returns;
    const verdict = await decideDescribed(enforcer, request, !charged, waitMsMax);
    const current: DecidedRequest = { request, verdict, charged };
    decided.push(current);
    if (refused === null && !request.returns && !passes(verdict)) refused = current;
  }
  if (refused === null) await recordAllowed(enforcer, decided, startedAt);
  else await recordRefused(enforcer, decided, refused, startedAt);
  return { message: responseOf(decided, refused, call.descriptors.length) };
}

function decideDescribed(
  enforcer: Enforcer,
  request: DescribedRequest,
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
    decided.map(async ({ request, verdict, charged }) => {
      if (charged) await meter(enforcer, verdict, startedAt);
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
    for (const index of request.descriptors) statuses[index] = statusOf(request, verdict);
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

function statusOf({ returns }: DescribedRequest, verdict: Verdict): object {
  const code = returns || passes(verdict) ? 'OK' : 'OVER_LIMIT';
  const closest = closestLimit(verdict.decision.limits);
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
