import { METHODS } from 'node:http';
import type { SpanAttributes } from '../../../shared/runtime/tracing/tracing.ts';
import type { Verdict } from '../enforcer/verdict.ts';
import { runningStatus } from './meter.ts';
import type { MeteredResponse } from './meter.ts';
import type { RequestTrace } from './request-trace.ts';

const knownMethods: ReadonlySet<string> = new Set(METHODS);
const textLengthMax = 256;

/** Describes the span of a request by its decision, and ends it if the request has its response. */
export function describeTrace(
  trace: RequestTrace,
  verdict: Verdict,
  { status, entrypoint }: MeteredResponse,
): void {
  const { method, route } = verdict;
  const isKnown = knownMethods.has(method);
  const path = route === null ? '' : ` ${pathOf(route.match)}`;
  trace.describe(`${isKnown ? method : 'HTTP'}${path}`, attributesOf(verdict, entrypoint, isKnown));
  if (status !== runningStatus) trace.endUnlessHeld(status);
}

/** Ids and names only: no credential, no query, no address and no user. */
function attributesOf(verdict: Verdict, entrypoint: string, isKnownMethod: boolean): SpanAttributes {
  const { decision, identity, plan, route, units, method, path } = verdict;
  return {
    ...(isKnownMethod
      ? { 'http.request.method': method }
      : {
          'http.request.method': '_OTHER',
          'http.request.method_original': method.slice(0, textLengthMax).toWellFormed(),
        }),
    'url.path': path.slice(0, textLengthMax).toWellFormed(),
    ...(route === null ? {} : { 'http.route': pathOf(route.match) }),
    'tollgate.decision': decision.outcome,
    'tollgate.decision_id': decision.id,
    ...(decision.limitedBy.length === 0 ? {} : { 'tollgate.limit': [...decision.limitedBy] }),
    'tollgate.tenant': identity.tenantId ?? '',
    'tollgate.plan': plan.name,
    'tollgate.units': units,
    'tollgate.entrypoint': entrypoint,
    'tollgate.degraded': decision.degraded,
    'tollgate.check_us': decision.checkMicros,
  };
}

/** The path of a route's pattern, which has a method before it. */
function pathOf(match: string): string {
  return match.slice(match.indexOf(' ') + 1);
}
