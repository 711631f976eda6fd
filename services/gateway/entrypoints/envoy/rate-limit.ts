import { status } from '@grpc/grpc-js';
import type { LimitState } from '../../../../shared/domain/limit.ts';
import { percentEncoded } from '../../../../shared/domain/request/request-target.ts';
import type { Enforcer } from '../../enforcer/enforcer.ts';
import { limitHeaders } from '../../responses/headers.ts';
import { problemOf, problemType } from '../../responses/problem.ts';
import { closestLimit, passes } from '../../enforcer/verdict.ts';
import type { Verdict } from '../../enforcer/verdict.ts';
import { describedRequests } from './descriptors.ts';
import type { DescribedRequest } from './descriptors.ts';
import type { GrpcResponse, RateLimitRequest } from './messages.ts';

const uint32Max = 0xffff_ffff;

interface Decided {
  readonly request: DescribedRequest;
  readonly verdict: Verdict;
  /** True where units were taken. */
  readonly charged: boolean;
}

/**
 * `ShouldRateLimit`. Descriptors that describe the same request are decided about once, and each of them gets that
 * answer. A call of several requests is all-or-nothing: where one is refused, those before it get their units back and
 * those after it are only looked at.
 *
 * A number of 0 checks whether the next unit would pass and takes nothing; its refusal is recorded like any other.
 * Negative numbers return units and always pass; a negative 0 returns nothing.
 */
export async function limitRate(
  enforcer: Enforcer,
  call: RateLimitRequest,
  waitMsMax: number,
): Promise<GrpcResponse> {
  const startedAt = performance.now();
  const requests = describedRequests(call);
  if (typeof requests === 'string') return { code: status.INVALID_ARGUMENT, details: requests };
  const decided: Decided[] = [];
  let refusal: Decided | null = null;
  for (const request of requests) {
    const charged: boolean = refusal === null && request.hits !== 0 && !request.returns;
    const verdict = await decide(enforcer, request, !charged, waitMsMax);
    const one: Decided = { request, verdict, charged };
    decided.push(one);
    if (refusal === null && !request.returns && !passes(verdict)) refusal = one;
  }
  if (refusal === null) await settle(enforcer, decided, startedAt);
  else await withdraw(enforcer, decided, refusal, startedAt);
  return { message: responseOf(decided, refusal, call.descriptors.length) };
}

function decide(
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

/** All pass: what was charged is recorded, what is to be returned is returned. */
async function settle(enforcer: Enforcer, decided: readonly Decided[], startedAt: number): Promise<void> {
  await Promise.all(
    decided.map(async ({ request, verdict, charged }) => {
      if (charged) await meter(enforcer, verdict, startedAt);
      else if (request.returns && request.hits !== 0) await enforcer.refund(verdict);
    }),
  );
}

/** One is refused: it is recorded, and those that had passed before it have consumed nothing. */
async function withdraw(
  enforcer: Enforcer,
  decided: readonly Decided[],
  refusal: Decided,
  startedAt: number,
): Promise<void> {
  if (!refusal.charged) enforcer.recordDecision(refusal.verdict);
  const passed = decided.filter(({ verdict, charged }) => charged && passes(verdict));
  await Promise.all([
    meter(enforcer, refusal.verdict, startedAt),
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

function responseOf(decided: readonly Decided[], refusal: Decided | null, descriptors: number): object {
  const statuses = Array.from({ length: descriptors }, (): object => ({ code: 'OK' }));
  for (const { request, verdict } of decided) {
    for (const index of request.descriptors) statuses[index] = statusOf(request, verdict);
  }
  const spoken = refusal?.verdict ?? closestOf(decided);
  const headers = Object.entries(limitHeaders(spoken)).map(([key, value]) => ({ key, value }));
  return {
    overall_code: refusal === null ? 'OK' : 'OVER_LIMIT',
    statuses,
    response_headers_to_add:
      refusal === null ? headers : [...headers, { key: 'content-type', value: problemType }],
    raw_body: refusal === null ? Buffer.alloc(0) : Buffer.from(JSON.stringify(problemOf(spoken))),
  };
}

function statusOf({ returns }: DescribedRequest, verdict: Verdict): object {
  const code = returns || passes(verdict) ? 'OK' : 'OVER_LIMIT';
  const closest = closestLimit(verdict.decision.limits);
  return closest === null ? { code } : { code, ...windowOf(closest, verdict.decidedAtMs) };
}

/** Of several requests that pass, the headers are those of the one with the smallest share left. */
function closestOf(decided: readonly Decided[]): Verdict {
  const [first, ...others] = decided.map(({ verdict }) => verdict);
  if (first === undefined) throw new TypeError('A call without a request is refused before it is decided.');
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
