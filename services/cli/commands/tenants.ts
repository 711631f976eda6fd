import type { Static } from 'typebox';
import type {
  statusAnswer,
  tenantAnswer,
  tenantsAnswer,
} from '../../../shared/admin-answers/answer-schemas.ts';
import type { Command } from '../command.ts';
import { counted } from '../../../shared/domain/text/counted.ts';
import { operand, optional, table } from '../command.ts';

type ListAnswer = Static<typeof tenantsAnswer>;
type TenantAnswer = Static<typeof tenantAnswer>;
type StatusAnswer = Static<typeof statusAnswer>;

/** Commands that only read. */
export const tenantCommands: readonly Command[] = [
  {
    name: 'tenants',
    synopsis: '[SEARCH] [--plan NAME]',
    summary: 'List tenants, busiest today first.',
    operands: [0, 1],
    flags: {
      plan: { type: 'string', help: 'Only this plan.' },
      limit: { type: 'string', help: 'Greatest number of tenants (default 50).' },
    },
    async run(invocation) {
      const query = new URLSearchParams({
        search: operand(invocation, 0),
        limit: optional(invocation, 'limit') ?? '50',
      });
      const plan = optional(invocation, 'plan');
      if (plan !== undefined) query.set('plan', plan);
      const answer = await invocation.call<ListAnswer>('GET', `/admin/v1/tenants?${query.toString()}`);
      return { data: answer, text: listText(answer) };
    },
  },
  {
    name: 'tenant',
    synopsis: 'ID',
    summary: 'Show a tenant: its record and its limits with overrides and boosts.',
    operands: [1, 1],
    async run(invocation) {
      const answer = await invocation.call<TenantAnswer>('GET', pathOf(operand(invocation, 0)));
      return { data: answer, text: tenantText(answer) };
    },
  },
  {
    name: 'status',
    synopsis: 'ID',
    summary: 'Requests this minute and today, resets, and whether the tenant is blocked.',
    operands: [1, 1],
    async run(invocation) {
      const answer = await invocation.call<StatusAnswer>('GET', `${pathOf(operand(invocation, 0))}/status`);
      return { data: answer, text: statusText(answer) };
    },
  },
];

export function pathOf(tenantId: string): string {
  return `/admin/v1/tenants/${encodeURIComponent(tenantId)}`;
}

function listText({ tenants, total, usage_known: known }: ListAnswer): string {
  if (total === 0) return 'No tenant matches.';
  const rows = tenants.map((one) => [
    one.tenant_id,
    one.display_name ?? '',
    one.plan,
    one.requests_today ?? 'unknown',
    one.limited_today ?? 'unknown',
    [...(one.blocked ? ['blocked'] : []), ...(one.boosts > 0 ? ['boosted'] : [])].join(' '),
  ]);
  return [
    table(['TENANT', 'NAME', 'PLAN', 'REQUESTS TODAY', 'REFUSED', ''], rows),
    ...(total > tenants.length ? [`${tenants.length} of ${total}.`] : []),
    ...(known
      ? []
      : ['ClickHouse does not answer: usage is unknown, and tenants without a record are missing.']),
  ].join('\n');
}

function tenantText({ tenant_id: id, plan, record, limits }: TenantAnswer): string {
  const rows = limits.map((one) => [
    one.name,
    one.per.join('+'),
    one.route ?? 'all routes',
    one.limit,
    one.type === 'concurrent' ? 'at once' : `${one.window_seconds} s`,
    [
      ...(one.override === null ? [] : [`override ${one.override}`]),
      ...(one.boost_id === null ? [] : ['boosted']),
      ...(one.of_policy === one.limit || one.of_policy === null ? [] : [`policy ${one.of_policy}`]),
    ].join(', '),
  ]);
  const shown = record === null ? 'no record' : JSON.stringify({ ...record, history: undefined }, null, 2);
  return `${id}, plan ${plan}\n\n${table(['LIMIT', 'PER', 'ROUTE', 'UNITS', 'WINDOW', ''], rows)}\n\nRecord: ${shown}`;
}

function statusText(status: StatusAnswer): string {
  const blocked = status.blocked
    ? `blocked by ${status.blocked_by.join(', ')} until ${status.blocked_until ?? 'lifted'}`
    : 'not blocked';
  const rows = status.limits.map((one) => [
    one.name,
    `${one.used} of ${one.limit}`,
    one.remaining,
    new Date(one.reset * 1000).toISOString(),
  ]);
  return [
    `${status.tenant_id}, plan ${status.plan}: ${blocked}`,
    `${counted(status.requests_this_minute, 'request')} this minute, ${status.requests_today} today`,
    '',
    table(['LIMIT', 'USED', 'LEFT', 'FULL AT'], rows),
    '',
    `Totals are complete through ${status.complete_through ?? 'nothing yet'}.`,
  ].join('\n');
}
