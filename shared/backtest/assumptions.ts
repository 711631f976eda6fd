import { attributeNames } from '../domain/limit.ts';
import type { Limit } from '../domain/limit.ts';
import type { Policy } from '../domain/policy.ts';
import { baseKind } from '../redis/decision/windows.ts';
import { isEvaluable, keptReasons } from './replay/kept-decisions.ts';
import type { KeptReason } from './replay/kept-decisions.ts';

/** A reason for which the result may differ from what the policy would have done. */
export interface Assumption {
  readonly code: string;
  readonly detail: string;
  /** Number of requests that it concerns; absent: it concerns all of them, or an unknown number. */
  readonly requests?: number;
}

export interface AssumptionFacts {
  readonly policy: Policy;
  readonly limits: readonly Limit[];
  readonly kept: ReadonlyMap<KeptReason, number>;
  readonly degraded: number;
  /** Requests whose event does not state the time of their decision in Redis. */
  readonly withoutTime: number;
  /** Requests that another revision of the policy than the one in force decided. */
  readonly ofOtherRevisions: number;
  readonly isWarmUpCut: boolean;
  readonly isMerged: boolean;
  /** Whether only the events of one tenant were read. */
  readonly ofOneTenant: boolean;
}

const keptDetails: Readonly<Record<KeptReason, string>> = {
  service: 'Requests with a service token bypass every limit, so their decisions are kept.',
  not_a_limit: 'Requests that were refused because of a block, their credential or their form stay refused.',
  unavailable: 'Requests that were refused because Redis did not answer stay refused.',
  own_call:
    'Calls of the API listener have limits of their own, which are not evaluated: their decisions are kept.',
  envoy:
    'Envoy’s rate limit service decides by descriptors, which events do not have: the decisions are kept.',
  preflight:
    'Preflights of browsers have a limit of their own, which is not evaluated: their decisions are kept.',
  attributes: 'Requests that a limit of unrecorded attributes refused stay refused.',
};

/** Lists where the result is not exact. An assumption that concerns no request of the range is left out. */
export function assumptionsOf(facts: AssumptionFacts): readonly Assumption[] {
  const { limits, kept, degraded, withoutTime, ofOtherRevisions } = facts;
  const ofKept = keptReasons.flatMap((code): Assumption[] => {
    const requests = kept.get(code) ?? 0;
    return requests === 0 ? [] : [{ code, detail: keptDetails[code], requests }];
  });
  return [
    {
      code: 'same_calls',
      detail:
        'Callers send the same requests. In reality, a refused caller tries again, and an admitted one does not.',
    },
    {
      code: 'records_of_today',
      detail:
        'Overrides, boosts, groups, time zones and billing days are those of the tenants’ records today; plans are those of the events. Resets within the range are not repeated.',
    },
    ...ofLimits(facts, limits),
    ...ofKept,
    ...counted(
      'degraded',
      degraded,
      'Requests that a gateway decided without Redis are decided as if Redis had answered.',
    ),
    ...counted(
      'time',
      withoutTime,
      'Events of older releases do not state the time of their decision in Redis: the time in their id is used, which is up to some milliseconds later.',
    ),
    ...counted(
      'other_revisions',
      ofOtherRevisions,
      'Requests that another revision of the policy had decided: their recorded decisions are compared with the proposed policy too, but do not count in the agreement.',
    ),
    ...(facts.ofOneTenant && limits.some(isShared)
      ? [
          {
            code: 'one_tenant',
            detail:
              'Limits that tenants share (platform, addresses, groups) count the requests of this tenant only.',
          },
        ]
      : []),
    ...(facts.isWarmUpCut
      ? [{ code: 'warm_up', detail: 'Windows of more than seven days begin with the usage of seven days.' }]
      : []),
    ...(facts.isMerged
      ? [
          {
            code: 'memory',
            detail:
              'There are so many counters that entries of small limits were merged: a refusal may last up to 1/64 of its window too long.',
          },
        ]
      : []),
  ];
}

function ofLimits({ policy }: AssumptionFacts, limits: readonly Limit[]): Assumption[] {
  const unevaluated = limits.filter((limit) => !isEvaluable(limit, policy));
  const has = (matches: (limit: Limit) => boolean): boolean => limits.some(matches);
  const assumptions: Assumption[] = [];
  if (unevaluated.length > 0) {
    const names = [
      ...new Set(unevaluated.map(({ name, per }) => `${name} (${attributeNames({ per }).join(', ')})`)),
    ];
    assumptions.push({
      code: 'unrecorded_attributes',
      detail: `Events do not have all attributes of these limits, which are therefore not evaluated: ${names.join('; ')}.`,
    });
  }
  if (has(({ type }) => type === 'concurrent')) {
    assumptions.push({
      code: 'concurrent',
      detail:
        'Concurrent limits are computed from the latency of each request, with one count for all gateways. Requests in progress at the start of the range are not counted.',
    });
  }
  if (has(({ of }) => of !== 'requests')) {
    assumptions.push({
      code: 'quantities',
      detail:
        'Limits of quantities are computed from what the calls reserved and used. Refused calls have no recorded amounts: they are tested for the smallest amount and charge nothing.',
    });
  }
  if (has(({ limit, type }) => type !== 'concurrent' && limit > 1000)) {
    assumptions.push({
      code: 'leases',
      detail:
        'Gateways lease units of limits above 1,000 for busy tenants; the replay does not. Live, a refusal of these limits may begin earlier and last up to 1/64 of the window longer.',
    });
  }
  return assumptions;
}

const sharedKinds: ReadonlySet<string> = new Set(['address', 'global', 'group']);

/** Whether requests of other tenants are counted too: a limit per user and address is one of the tenant's own users. */
function isShared(limit: Limit): boolean {
  return sharedKinds.has(baseKind(limit, true, true));
}

function counted(code: string, requests: number, detail: string): Assumption[] {
  return requests === 0 ? [] : [{ code, detail, requests }];
}
