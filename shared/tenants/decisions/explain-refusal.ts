import { counted, nounFor } from '../../domain/text/counted.ts';
import { windowName } from '../../domain/time/format-duration.ts';
import { periodAt } from '../../domain/time/calendar.ts';
import { attributeNames } from '../../domain/limit.ts';
import type { Limit } from '../../domain/limit.ts';
import type { Policy } from '../../domain/policy.ts';
import { calendarOfLimit } from '../../domain/quota.ts';
import type { TenantRecord } from '../../domain/tenant.ts';
import type { UsageEventRow } from '../../clickhouse/queries/usage.ts';
import { limitsFor } from '../../policy/match.ts';

/** The fields of a recorded request that explain its refusal. */
type RefusedRequest = Pick<UsageEventRow, 'time' | 'route' | 'plan' | 'limited_by'>;

/**
 * Why no latest time is known at which a refused request would pass: it passes when one of the running requests ends, the
 * time depends on what is not recorded, or waiting does not help.
 */
export type WithoutTime = 'when-others-end' | 'unknown' | 'never';

export interface Explanation {
  /** The exceeded rule in one sentence, for a list. */
  readonly reason: string;
  /** The limits that refused the request and are still in the policy. */
  readonly limits: readonly Limit[];
  /** Time at which the request would pass at the latest, in Unix milliseconds; null if there is no such time. */
  readonly latestPassMs: number | null;
  /** Why there is no latest time; null if there is one. */
  readonly withoutTime: WithoutTime | null;
  /** Advice: what the client can do. */
  readonly advice: string;
}

type OtherReason = readonly [reason: string, advice: string, withoutTime: WithoutTime];

const otherReasons: Readonly<Record<string, OtherReason>> = {
  blocked: ['An operator had blocked this account.', 'Contact support.', 'never'],
  unauthenticated: [
    'The request carried no valid credential.',
    'Check the API key or token that was sent.',
    'never',
  ],
  out_of_scope: [
    'The scope of the API key does not include this request.',
    'Use a key whose scope includes it; the answer named the scope.',
    'never',
  ],
  unavailable: [
    'The limits could not be checked at this moment.',
    'Try again at once; nothing was consumed.',
    'unknown',
  ],
  cost_too_high: [
    'The request needed more units than the limit can ever grant.',
    'Split it into smaller requests; waiting does not help.',
    'never',
  ],
  invalid: [
    'The request could not be served as it was sent: its form, its size or its cost was not valid.',
    'Correct the request; its answer said what was wrong.',
    'never',
  ],
  platform: [
    'The platform as a whole was serving as many requests at once as it may.',
    'Try again at once; this is not about your own limits.',
    'when-others-end',
  ],
};

const fewerAtOnce = 'Send fewer requests at once, and wait for some of them to end.';

/**
 * Explains why a recorded request was refused. It uses the current policy, and those overrides and boosts of the
 * tenant that were in force at the time of the request and are still in the record.
 */
export function explainRefusal(
  event: RefusedRequest,
  policy: Policy,
  record: TenantRecord | null,
): Explanation {
  const atMs = Date.parse(event.time);
  const route = policy.routes.find((candidate) => candidate.match === event.route) ?? null;
  const applicable = limitsFor(policy, { plan: event.plan, record, route, nowMs: atMs }).limits;
  const limits = applicable.filter((limit) => event.limited_by.includes(limit.name));
  const first = limits[0];
  if (first === undefined) return withoutLimit(event, policy);
  const isFull = limits.some(isConcurrent);
  const ends = limits.map((limit) =>
    limit.period === null
      ? atMs + limit.windowMs
      : periodAt(limit.period, calendarOfLimit(limit, record), atMs).endMs,
  );
  return {
    reason: limits.map((limit) => sentence(limit)).join(' '),
    limits,
    latestPassMs: isFull ? null : Math.max(...ends),
    // A request that also has no room in a limit of another kind does not pass yet when a running request ends.
    withoutTime: !isFull ? null : limits.every(isConcurrent) ? 'when-others-end' : 'unknown',
    advice: isFull
      ? fewerAtOnce
      : first.period === null
        ? 'Wait as long as Retry-After said and try again, or spread the requests out.'
        : 'Wait for the next period, or request a higher limit.',
  };
}

function isConcurrent({ type }: Limit): boolean {
  return type === 'concurrent';
}

/**
 * A sentence about a limit: `The limit “minute” allows 100 requests in any minute for your whole account; they were
 * used up.`
 */
function sentence(limit: Limit): string {
  const amount = counted(limit.limit, 'request');
  const [attribute] = attributeNames(limit);
  const scope =
    attribute !== undefined
      ? `for each ${attribute === 'key' ? 'API key' : attribute}`
      : limit.per.includes('user')
        ? 'for each user'
        : limit.per.includes('ip')
          ? 'for each address'
          : 'for your whole account';
  const where = limit.route === null ? '' : ` on ${limit.route}`;
  if (limit.type === 'concurrent')
    return `The limit “${limit.name}” allows ${amount} at the same time ${scope}${where}; as many were in progress.`;
  const time = limit.period === null ? `in any ${windowName(limit.windowMs)}` : `a calendar ${limit.period}`;
  return `The limit “${limit.name}” allows ${amount} ${time} ${scope}${where}; they were used up.`;
}

function withoutLimit(event: Pick<RefusedRequest, 'limited_by'>, { shares }: Policy): Explanation {
  const share = shares.find(({ name }) => event.limited_by.includes(name));
  if (share !== undefined) {
    return {
      reason: `${counted(share.limit, 'request')} of ${share.per.includes('tenant') ? 'your account' : 'your address'} ${nounFor(share.limit, 'was', 'were')} running at once, which is the most it may hold of the platform.`,
      limits: [],
      ...{ latestPassMs: null, withoutTime: 'when-others-end' },
      advice: fewerAtOnce,
    };
  }
  for (const name of event.limited_by) {
    const known = otherReasons[name];
    if (known === undefined) continue;
    const [reason, advice, withoutTime] = known;
    return { reason, limits: [], latestPassMs: null, withoutTime, advice };
  }
  const names = event.limited_by.map((name) => `“${name}”`).join(', ') || 'a limit';
  return {
    reason: `It had no room in ${names}, which today's rules no longer have.`,
    limits: [],
    ...{ latestPassMs: null, withoutTime: 'unknown' },
    advice: 'Try again: the rule that refused it is gone.',
  };
}
