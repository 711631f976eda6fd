import { windowOfLimit } from '../../../shared/domain/time/format-duration.ts';
import { attributeNames } from '../../../shared/domain/limit.ts';
import type { Limit } from '../../../shared/domain/limit.ts';
import { formatTime } from '../../../shared/domain/time/format-time.ts';
import type { TenantLimit } from '../../../shared/tenants/limits.ts';
import { minorAmountText, title } from './format.ts';
import type { AmountUnits } from './format.ts';
import { html, pathCode } from './html.ts';
import type { Html } from './html.ts';
import { emptyState } from './layout.ts';
import { table } from './table.ts';
import type { Column } from './table.ts';

/** Table of a tenant's limits with their rules. `none` is the text for an empty table. */
export function limitTable(
  limits: readonly TenantLimit[],
  none: string,
  units: AmountUnits,
  /** Further columns, such as links. */
  further: readonly Column<TenantLimit>[] = [],
): Html {
  const columns: readonly Column<TenantLimit>[] = [
    { title: 'Limit', kind: 'head', cell: ({ limit }) => title(limit.name) },
    {
      title: 'Counts',
      cell: ({ limit }) =>
        html`${subjectText(limit.per)}${limit.route === null ? null : html`<br />${pathCode(limit.route)}`}`,
    },
    {
      title: 'Allows',
      kind: 'number',
      cell: ({ limit: { of, limit, burst } }) =>
        html`${minorAmountText(units, of, limit)}
        ${burst > 0 ? html`<span class="soft">+ ${minorAmountText(units, of, burst)} burst</span>` : null}`,
    },
    {
      title: 'In',
      cell: ({ limit }) => windowOfLimit(limit),
    },
    { title: 'Kind', cell: kindOf },
    ...further,
  ];
  return table({ caption: 'Limits', columns, rows: limits, empty: emptyState('Nothing here', none) });
}

const kindNames = { sliding: 'Sliding', quota: 'Calendar', concurrent: 'At once' } as const;

function kindOf({ limit, override, boost, ofPolicy }: TenantLimit): Html {
  return html`${kindNames[limit.type]}
  ${limit.mode === 'shadow' ? html`<span class="badge plain">not enforced</span>` : null}
  ${boost === null ? null : html`<span class="badge good">raised until ${formatTime(boost.ends_at)}</span>`}
  ${override === null || boost !== null || override === ofPolicy ? null : html`<span class="badge">agreed with you</span>`}`;
}

/** Who is counted, in words: `tenant, user` → `each user (or address)`. */
export function subjectText(per: Limit['per']): string {
  const names = attributeNames({ per });
  if (names.length > 0)
    return `each ${names.map((name) => (name === 'key' ? 'API key' : name)).join(' and ')}`;
  if (per.includes('group')) return 'your group together';
  if (per.includes('user')) return 'each user (or address)';
  if (per.includes('ip')) return 'each address';
  return per.includes('tenant') ? 'your account' : 'all tenants together';
}
