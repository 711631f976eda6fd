import { count, counted } from '../../../../shared/domain/text/counted.ts';
import { formatTime } from '../../../../shared/domain/time/format-time.ts';
import { anonymousTenant } from '../../../../shared/domain/usage-event.ts';
import type { ShadowLimit, ShadowResults } from '../../../../shared/policy-changes/shadow-results.ts';
import { expiredNotice } from '../../components/freshness.ts';
import { html } from '../../components/html.ts';
import type { Html } from '../../components/html.ts';
import { emptyState } from '../../components/layout.ts';
import { tenantHref } from '../../components/links.ts';
import { table } from '../../components/table.ts';
import type { Column } from '../../components/table.ts';

type TenantResult = ShadowLimit['by_tenant'][number];

/** What the limits in shadow mode would have refused. `results` is null if they could not be read. */
export function shadowSection(results: Omit<ShadowResults, 'revision'> | null): Html {
  const limits = results?.limits ?? null;
  return html`${results === null ? null : expiredNotice(results.sinceMs, results.completeSinceMs, 'UTC')}
  ${table({
    caption: 'The results of shadow mode',
    columns: limitColumns,
    rows: limits,
    empty: emptyState(
      'No limit is in shadow mode',
      html`A limit with <code>mode: shadow</code> refuses nothing. This section then shows what it would
        refuse.`,
    ),
  })}
  ${limits?.filter(({ requests }) => requests > 0).map(detailsOf) ?? null}`;
}

const limitColumns: readonly Column<ShadowLimit>[] = [
  { title: 'Limit', kind: 'head', cell: ({ limit_name: name }) => name },
  { title: 'In shadow mode', cell: sinceText },
  { title: 'Would have refused', kind: 'number', cell: ({ requests }) => count(requests) },
  { title: 'Tenants', kind: 'number', cell: ({ tenants }) => count(tenants) },
];

function sinceText({ since, since_is_start: isStart }: ShadowLimit): string {
  if (since === null) return 'the start is not in the history';
  return `${isStart ? 'since' : 'at least since'} ${formatTime(since)}`;
}

function detailsOf({ limit_name: name, by_day: days, by_tenant: rows, tenants }: ShadowLimit): Html {
  const more = tenants - rows.length;
  return html`<details class="fold">
    <summary>${name}: by day and by tenant</summary>
    <ul class="list">
      ${days.map(({ day, requests }) => html`<li>${day}: ${counted(requests, 'request')}</li>`)}
    </ul>
    ${table({
      caption: `Tenants over ${name}`,
      columns: tenantColumns,
      rows,
      empty: emptyState('None', 'No tenant was over this limit.'),
    })}
    ${more > 0 ? html`<p class="soft small">${counted(more, 'further tenant')} with fewer requests.</p>` : null}
  </details>`;
}

const tenantColumns: readonly Column<TenantResult>[] = [
  {
    title: 'Tenant',
    kind: 'head',
    cell: ({ tenant_id: id }) =>
      id === anonymousTenant ? 'anonymous callers' : html`<a href="${tenantHref(id)}">${id}</a>`,
  },
  { title: 'Would have been refused', kind: 'number', cell: ({ requests }) => count(requests) },
  {
    title: 'Latest',
    cell: ({ decision_id: id }) =>
      html`<a href="/operator/decisions/${encodeURIComponent(id)}">Explain the decision</a>`,
  },
];
