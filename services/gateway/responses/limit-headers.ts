import type { Limit, LimitState } from '../../../shared/domain/limit.ts';
import type { Policy } from '../../../shared/domain/policy.ts';
import type { Quantity } from '../../../shared/domain/usage/quantity.ts';
import { closestLimit } from '../enforcer/verdict.ts';
import type { Verdict } from '../enforcer/verdict.ts';

/** Header fields by name. Names are in lower case, as in HTTP/2 and Fastify. */
export type ResponseHeaders = Record<string, string>;

/** Fields that only Tollgate sets: they replace fields of the same name in the upstream's response. */
export const limitHeaderNames: ReadonlySet<string> = new Set([
  'x-ratelimit-limit',
  'x-ratelimit-remaining',
  'x-ratelimit-reset',
  'ratelimit',
  'ratelimit-policy',
  'x-tollgate-decision',
]);

/** An object that header fields are written to, for example a Fastify reply. */
export interface HeaderTarget {
  header(name: string, value: string): unknown;
}

/**
 * Returns the limit headers of a response. X-RateLimit-* describe the window that is closest to exhaustion (`Reset` in
 * Unix seconds). The IETF fields (draft-ietf-httpapi-ratelimit-headers) describe all windows. `Retry-After` is added to
 * a refused request that would pass after a wait, and `X-Should-Retry: false` if that wait is too long for an SDK.
 */
export function limitHeaders(verdict: Verdict): ResponseHeaders {
  const headers: ResponseHeaders = {};
  const header = (name: string, value: string): void => void (headers[name] = value);
  writeLimitHeaders(verdict, { header });
  return headers;
}

/** Writes the fields of `limitHeaders` directly to a target, without an object in between. */
export function writeLimitHeaders(verdict: Verdict, target: HeaderTarget): void {
  const { decision, limits, policy, decidedAtMs } = verdict;
  target.header('x-tollgate-decision', decision.id);
  const closest = closestLimit(decision.limits);
  if (closest !== null) {
    target.header('x-ratelimit-limit', String(closest.limit));
    target.header('x-ratelimit-remaining', String(closest.remaining));
    target.header('x-ratelimit-reset', String(Math.ceil(closest.resetAtMs / 1000)));
    target.header('ratelimit-policy', policyField(policy, limits, decision.limits));
    target.header('ratelimit', stateField(decision.limits, closest.mode === 'shadow', decidedAtMs));
  } else if (policy.platform[0] !== undefined) {
    // If the plan has no windows, the fields describe the platform's limit, so that every response has them.
    target.header('x-ratelimit-limit', String(policy.platform[0].limit));
    target.header('x-ratelimit-remaining', String(policy.platform[0].limit));
    target.header('x-ratelimit-reset', String(Math.ceil(decidedAtMs / 1000)));
  }
  if (decision.outcome !== 'limited') return;
  const seconds = retryAfterSeconds(decision.retryAfterMs);
  if (seconds !== null) target.header('retry-after', String(seconds));
  if (seconds === null || seconds > sdkWaitSecondsMax) target.header('x-should-retry', 'false');
}

/**
 * Longest wait after which SDKs may repeat a refused request by themselves. OpenAI's SDK for Node does not wait longer
 * than this, it repeats the request within a second instead, and Anthropic's SDKs would sleep until the end of a month.
 * Both obey `x-should-retry: false`.
 */
const sdkWaitSecondsMax = 60;

/**
 * Returns the whole seconds, at least 1, after which the request would pass; null if it would not pass after any wait.
 */
export function retryAfterSeconds(retryAfterMs: number | null): number | null {
  return retryAfterMs === null ? null : Math.max(1, Math.ceil(retryAfterMs / 1000));
}

/**
 * Values of `RateLimit-Policy`, cached by the array of limits: all requests under the same limits have the same value.
 */
const policyFields = new WeakMap<readonly Limit[], string>();

function policyField(
  { quantities }: Policy,
  limits: readonly Limit[],
  states: readonly LimitState[],
): string {
  let field = policyFields.get(limits);
  if (field === undefined) {
    const windows = limits.filter(({ type }) => type !== 'concurrent');
    const enforced = windows.filter(({ mode }) => mode === 'enforce');
    field = (enforced.length === 0 ? windows : enforced)
      .map((limit) => policyItem(limit, quantities.get(limit.of)))
      .join(', ');
    policyFields.set(limits, field);
  }
  // A full concurrent limit has no window, but it is the reason for the 429, so it is added to the field.
  for (const state of states) {
    if (state.windowMs !== 0) continue;
    const item = `"${state.name}";q=${state.limit};qu="concurrent-requests"`;
    field = field === '' ? item : `${field}, ${item}`;
  }
  return field;
}

/**
 * Describes one limit. A quantity other than units is named by `qu`. Its amounts are whole numbers of its smallest unit;
 * `decimals` states how many of them its own unit has, as a power of ten.
 */
function policyItem({ name, limit, windowMs, burst }: Limit, quantity: Quantity | undefined): string {
  const item = `"${name}";q=${limit};w=${Math.ceil(windowMs / 1000)}${burst === 0 ? '' : `;burst=${burst}`}`;
  if (quantity === undefined) return item;
  const { name: unit, decimals } = quantity;
  return `${item};qu="${unit}"${decimals === 0 ? '' : `;decimals=${decimals}`}`;
}

/**
 * Milliseconds that are subtracted before a reset is rounded up to seconds: a window is empty one millisecond after its
 * newest unit expired, and this millisecond must not become a whole second.
 */
const roundingMs = 2;

function stateField(states: readonly LimitState[], shadow: boolean, nowMs: number): string {
  let field = '';
  for (const { name, remaining, resetAtMs, mode } of states) {
    if (mode === 'shadow' && !shadow) continue;
    const seconds = Math.max(0, Math.ceil((resetAtMs - nowMs - roundingMs) / 1000));
    const item = `${itemStart(name)}${remaining};t=${seconds}`;
    field = field === '' ? item : `${field}, ${item}`;
  }
  return field;
}

/** Beginnings of the items of `RateLimit` by the name of the limit, cached because a limit is in many responses. */
let itemStarts = new Map<string, string>();
const itemStartsMax = 1_000;

function itemStart(name: string): string {
  let start = itemStarts.get(name);
  if (start !== undefined) return start;
  if (itemStarts.size >= itemStartsMax) itemStarts = new Map();
  itemStarts.set(name, (start = `"${name}";r=`));
  return start;
}
