import type { Static } from 'typebox';
import type { tenantsAnswer } from '../../../../shared/admin-answers/answer-schemas.ts';
import type { UsageAnswer } from '../../../../shared/admin-answers/recorded-answers.ts';
import { counted } from '../../../../shared/domain/text/counted.ts';
import { tenantOrders } from '../../../../shared/tenants/list/select.ts';
import { UsageError, operand, optional, table } from '../../command.ts';
import type { Command, Invocation, Report } from '../../command.ts';
import { pathOf } from '../tenants.ts';

type Sums = Pick<UsageAnswer['month'], 'requests' | 'limited' | 'units' | 'cost'>;

/** Commands that read the usage of tenants. */
export const usageCommands: readonly Command[] = [
  {
    name: 'usage',
    synopsis: 'ID',
    summary: 'Recorded usage of a tenant: today, this month, and the last 30 days.',
    operands: [1, 1],
    async run(invocation) {
      const data = await invocation.call<UsageAnswer>('GET', `${pathOf(operand(invocation, 0))}/usage`);
      return { data, text: usageText(data) };
    },
  },
  {
    name: 'top',
    synopsis: '[--by ORDER] [--plan NAME] [--count N]',
    summary: 'Tenants with the highest used share of a limit, most requests, refusals, growth or cost.',
    operands: [0, 0],
    flags: {
      by: {
        type: 'string',
        help: `${tenantOrders.join(', ')} (default requests). margin: lowest first.`,
        values: tenantOrders,
      },
      plan: { type: 'string', help: 'Only this plan.' },
      count: { type: 'string', help: 'How many (default 10).' },
    },
    example: 'top --by share',
    run: top,
  },
];

async function top(invocation: Invocation): Promise<Report> {
  const by = optional(invocation, 'by') ?? 'requests';
  if (!tenantOrders.some((order) => order === by))
    throw new UsageError(`“${by}” is not an order; write one of: ${tenantOrders.join(', ')}.`);
  const plan = optional(invocation, 'plan');
  const query = new URLSearchParams({
    sort: by,
    order: by === 'margin' || by === 'name' ? 'asc' : 'desc',
    limit: optional(invocation, 'count') ?? '10',
    ...(plan === undefined ? {} : { plan }),
  });
  const data = await invocation.call<Static<typeof tenantsAnswer>>(
    'GET',
    `/admin/v1/tenants?${query.toString()}`,
  );
  const rows = data.tenants.map((one) => [
    one.tenant_id,
    one.plan,
    one.requests_today ?? 'unknown',
    one.limited_today ?? 'unknown',
    one.growth === null ? '–' : percent(one.growth),
    one.cost_month ?? 'unknown',
    one.margin ?? '–',
    one.fullest_limit === undefined ? '' : `${percent(one.fullest_limit.share)} of ${one.fullest_limit.name}`,
  ]);
  const head = [
    'TENANT',
    'PLAN',
    'TODAY',
    'REFUSED',
    'GROWTH',
    'COST',
    'MARGIN',
    by === 'share' ? 'USED' : '',
  ];
  return { data, text: rows.length === 0 ? 'No tenant matches.' : table(head, rows) };
}

function percent(share: number): string {
  return `${Math.round(share * 1000) / 10} %`;
}

function usageText({
  tenant_id: id,
  time_zone: zone,
  day,
  month,
  days,
  complete_through: through,
}: UsageAnswer): string {
  const line = (name: string, { requests, limited, units, cost }: Sums): string =>
    `${name}: ${counted(requests, 'request')}, ${limited} refused, ${counted(units, 'unit')}, cost ${cost}`;
  const used = days.filter(({ requests }) => requests > 0);
  const rows = used.map((one) => [
    one.day.slice(0, 10),
    one.requests,
    one.limited,
    one.units ?? 'unknown',
    one.cost,
  ]);
  return [
    `${id} (${zone})`,
    line('Today', day),
    line('This month', month),
    ...(rows.length === 0 ? [] : ['', table(['DAY (UTC)', 'REQUESTS', 'REFUSED', 'UNITS', 'COST'], rows)]),
    '',
    `Totals are complete through ${through ?? 'nothing yet'}.`,
  ].join('\n');
}
