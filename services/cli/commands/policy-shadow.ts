import type { ShadowAnswer } from '../../../shared/admin-answers/policy-answers.ts';
import { completeFromText } from '../../../shared/domain/text/complete-from.ts';
import { count } from '../../../shared/domain/text/counted.ts';
import { anonymousTenant } from '../../../shared/domain/usage-event.ts';
import { optional, table, timeOf } from '../command.ts';
import type { Command } from '../command.ts';

type ShadowLimit = ShadowAnswer['limits'][number];

export const shadowCommand: Command = {
  name: 'policy shadow',
  synopsis: '[--since TIME]',
  summary: 'What the limits in shadow mode would have refused, by day and by tenant.',
  operands: [0, 0],
  flags: {
    since: {
      type: 'string',
      help: 'Start: a time (2026-01-31T12:00:00Z) or a duration before now (24h), at most 31d. Default 7d.',
    },
  },
  example: 'policy shadow --since 24h',
  async run(invocation) {
    const since = timeOf(optional(invocation, 'since') ?? '7d', invocation.nowMs);
    const path = `/admin/v1/policy/shadow?${new URLSearchParams({ since }).toString()}`;
    const data = await invocation.call<ShadowAnswer>('GET', path);
    return { data, text: shadowText(data) };
  },
};

function shadowText(answer: ShadowAnswer): string {
  const { policy_revision: revision, since, complete_since: completeSince, limits } = answer;
  if (limits.length === 0)
    return `The policy in force (revision ${revision}) has no limit in shadow mode. A limit with “mode: shadow” refuses nothing; this command shows what it would refuse.`;
  return [
    `Policy ${revision}, requests since ${since}:`,
    ...(completeSince === null ? [] : [completeFromText(completeSince)]),
    table(
      ['LIMIT', 'WOULD HAVE REFUSED', 'TENANTS', 'IN SHADOW MODE'],
      limits.map((limit) => [limit.limit_name, count(limit.requests), limit.tenants, startText(limit)]),
    ),
    ...limits.filter(({ requests }) => requests > 0).flatMap(detailsOf),
  ].join('\n');
}

function startText({ since, since_is_start: isStart }: ShadowLimit): string {
  if (since === null) return 'the start is not in the history';
  return `${isStart ? 'since' : 'at least since'} ${since}`;
}

function detailsOf({
  limit_name: name,
  by_day: days,
  by_tenant: tenants,
  tenants: total,
}: ShadowLimit): string[] {
  const further = total - tenants.length;
  return [
    '',
    `“${name}”:`,
    table(
      ['DAY (UTC)', 'REQUESTS'],
      days.map(({ day, requests }) => [day, count(requests)]),
    ),
    '',
    table(
      ['TENANT', 'REQUESTS', 'LATEST DECISION (tollgate explain)'],
      tenants.map(({ tenant_id: id, requests, decision_id: decision }) => [
        id === anonymousTenant ? 'anonymous callers' : id,
        count(requests),
        decision,
      ]),
    ),
    ...(further > 0 ? [`Further tenants with fewer requests: ${count(further)}.`] : []),
  ];
}
