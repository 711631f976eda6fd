import type { Limit, LimitState } from '../../../shared/domain/limit.ts';
import { closestLimit } from '../enforcer/verdict.ts';
import type { Verdict } from '../enforcer/verdict.ts';

/** Field names in lower case, as HTTP/2 and Fastify write them. */
export type ResponseHeaders = Record<string, string>;

/** Fields that Tollgate owns: it replaces those of an upstream and never joins them. */
export const limitHeaderNames: ReadonlySet<string> = new Set([
  'x-ratelimit-limit',
  'x-ratelimit-remaining',
  'x-ratelimit-reset',
  'ratelimit',
  'ratelimit-policy',
  'x-tollgate-decision',
]);

/** Writes header fields, e.g. a reply. */
export interface HeaderTarget {
  header(name: string, value: string): unknown;
}

/**
 * The limit headers of a response: X-RateLimit-* for the window closest to exhaustion (`Reset` in Unix seconds), the
 * IETF fields (draft-ietf-httpapi-ratelimit-headers) for all windows, and `Retry-After` where a refused request passes
 * later.
 */
export function limitHeaders(verdict: Verdict): ResponseHeaders {
  const headers: ResponseHeaders = {};
  const header = (name: string, value: string): void => void (headers[name] = value);
  writeLimitHeaders(verdict, { header });
  return headers;
}

/** The same, without an object for the fields. */
export function writeLimitHeaders(verdict: Verdict, target: HeaderTarget): void {
  const { decision, limits, policy, decidedAtMs } = verdict;
  target.header('x-tollgate-decision', decision.id);
  const closest = closestLimit(decision.limits);
  if (closest !== null) {
    target.header('x-ratelimit-limit', String(closest.limit));
    target.header('x-ratelimit-remaining', String(closest.remaining));
    target.header('x-ratelimit-reset', String(Math.ceil(closest.resetAtMs / 1000)));
    target.header('ratelimit-policy', policyField(limits, decision.limits));
    target.header('ratelimit', stateField(decision.limits, closest.mode === 'shadow', decidedAtMs));
  } else if (policy.platform[0] !== undefined) {
    // A plan without windows is still under the platform's limit: clients always get the fields.
    target.header('x-ratelimit-limit', String(policy.platform[0].limit));
    target.header('x-ratelimit-remaining', String(policy.platform[0].limit));
    target.header('x-ratelimit-reset', String(Math.ceil(decidedAtMs / 1000)));
  }
  const seconds = decision.outcome === 'limited' ? retryAfterSeconds(decision.retryAfterMs) : null;
  if (seconds !== null) target.header('retry-after', String(seconds));
}

/** Whole seconds after which the request passes, at least 1; null where no wait helps. */
export function retryAfterSeconds(retryAfterMs: number | null): number | null {
  return retryAfterMs === null ? null : Math.max(1, Math.ceil(retryAfterMs / 1000));
}

/** By limits: the field is the same for every request under the same limits. */
const policyFields = new WeakMap<readonly Limit[], string>();

function policyField(limits: readonly Limit[], states: readonly LimitState[]): string {
  let field = policyFields.get(limits);
  if (field === undefined) {
    const windows = limits.filter(({ type }) => type !== 'concurrent');
    const enforced = windows.filter(({ mode }) => mode === 'enforce');
    field = (enforced.length === 0 ? windows : enforced).map(policyItem).join(', ');
    policyFields.set(limits, field);
  }
  // A full concurrent limit is reported although it has no window: it is the reason for the 429.
  for (const state of states) {
    if (state.windowMs !== 0) continue;
    const item = `"${state.name}";q=${state.limit};qu="concurrent-requests"`;
    field = field === '' ? item : `${field}, ${item}`;
  }
  return field;
}

function policyItem({ name, limit, windowMs, burst }: Limit): string {
  return `"${name}";q=${limit};w=${Math.ceil(windowMs / 1000)}${burst === 0 ? '' : `;burst=${burst}`}`;
}

/** A window is empty a millisecond after its newest unit expired; that must not round up to a second. */
const roundingMs = 2;

function stateField(states: readonly LimitState[], shadow: boolean, nowMs: number): string {
  let field = '';
  for (const { name, remaining, resetAtMs, mode } of states) {
    if (mode === 'shadow' && !shadow) continue;
    const seconds = Math.max(0, Math.ceil((resetAtMs - nowMs - roundingMs) / 1000));
    field += `${field === '' ? '' : ', '}"${name}";r=${remaining};t=${seconds}`;
  }
  return field;
}
