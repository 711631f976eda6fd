import type { Limit } from '../../../../shared/domain/limit.ts';
import type { Policy } from '../../../../shared/domain/policy.ts';
import { nounFor } from '../../../../shared/domain/text/counted.ts';
import { durationInWords } from '../../../../shared/domain/time/format-duration.ts';
import { requestsName } from '../../../../shared/domain/usage/quantity.ts';
import type { TenantLimits } from '../../../../shared/tenants/limits.ts';

/** A 429 of the tenant as the gateway sends it. */
export interface ExampleRefusal {
  readonly headers: readonly (readonly [name: string, value: string])[];
  readonly body: object;
}

export interface RefusalToExplain {
  readonly tenantId: string;
  readonly limits: TenantLimits;
  readonly links: Policy['links'];
  /** Name of the limit that refused, and id and time of the decision. */
  readonly latest: {
    readonly limit: string;
    readonly id: string;
    readonly atMs: number;
  };
}

/** Seconds that the example waits. In a real 429 they depend on when the requests in the window were sent. */
const exampleWaitSeconds = 7;

/**
 * The 429 of a limit of the tenant: the limit of the latest refusal, otherwise the first of its plan. Null if no limit of the
 * tenant counts requests.
 */
export function exampleRefusal({ tenantId, limits, links, latest }: RefusalToExplain): ExampleRefusal | null {
  const windows = [...limits.shared, ...limits.individual]
    .map(({ limit }) => limit)
    .filter(({ of, mode }) => of === requestsName && mode === 'enforce');
  const limit = windows.find(({ name }) => name === latest.limit) ?? windows[0];
  if (limit === undefined) return null;
  // A request is under the limits of one route.
  const together = windows.filter(({ route }) => route === null || route === limit.route);
  const waitSeconds = Math.min(exampleWaitSeconds, secondsOf(limit));
  const reset = Math.ceil(latest.atMs / 1000) + waitSeconds;
  const size = `${limit.limit} per ${durationInWords(limit.windowMs)}`;
  return {
    headers: [
      ['Content-Type', 'application/problem+json'],
      ['Retry-After', String(waitSeconds)],
      ['X-RateLimit-Limit', String(limit.limit)],
      ['X-RateLimit-Remaining', '0'],
      ['X-RateLimit-Reset', String(reset)],
      [
        'RateLimit-Policy',
        together.map((one) => `"${one.name}";q=${one.limit};w=${secondsOf(one)}`).join(', '),
      ],
      ['RateLimit', together.map((one) => stateItem(one, one === limit, waitSeconds)).join(', ')],
      ['X-Tollgate-Decision', latest.id],
    ],
    body: {
      type: 'https://iana.org/assignments/http-problem-types#quota-exceeded',
      title: 'Too many requests',
      status: 429,
      detail: `${limit.limit} ${nounFor(limit.limit, 'request')} per ${durationInWords(limit.windowMs)} allowed; try again in ${waitSeconds} s`,
      error: `Rate limit exceeded: ${size}`,
      'violated-policies': [limit.name],
      limit: limit.limit,
      window_seconds: secondsOf(limit),
      remaining: 0,
      retry_after_seconds: waitSeconds,
      reset,
      tenant_id: tenantId,
      plan: limits.plan,
      documentation_url: links.documentation,
      upgrade_url: links.upgrade,
      decision_id: latest.id,
    },
  };
}

function secondsOf({ windowMs }: Limit): number {
  return Math.ceil(windowMs / 1000);
}

/** A window that is not full still has a part of its units. */
function stateItem(limit: Limit, isFull: boolean, waitSeconds: number): string {
  const left = isFull ? 0 : Math.floor(limit.limit * 0.9);
  return `"${limit.name}";r=${left};t=${isFull ? waitSeconds : secondsOf(limit)}`;
}
