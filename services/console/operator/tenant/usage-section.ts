import { hourOf } from '../../../../shared/clickhouse/queries/portal/usage-shares.ts';
import type { UsageShare } from '../../../../shared/clickhouse/queries/portal/usage-shares.ts';
import { count } from '../../../../shared/domain/text/counted.ts';
import { formatTime } from '../../../../shared/domain/time/format-time.ts';
import type { StoreReads } from '../../../../shared/runtime/store-reads.ts';
import type { UsageReader } from '../../../../shared/tenants/usage-reader.ts';
import { money } from '../../components/format.ts';
import { html } from '../../components/html.ts';
import type { Html } from '../../components/html.ts';
import { emptyState } from '../../components/layout.ts';
import { table } from '../../components/table.ts';
import type { Column } from '../../components/table.ts';

export interface UsageSectionSources {
  readonly usage: Pick<UsageReader, 'shares'>;
  readonly reads: StoreReads;
}

const dayMs = 86_400_000;
const shownMax = 8;

/** The routes and users with the most requests of the last 24 hours, with their cost. */
export async function usagePart(
  { usage, reads }: UsageSectionSources,
  id: string,
  {
    zone,
    currency,
    nowMs,
  }: { readonly zone: string; readonly currency: string | null; readonly nowMs: number },
): Promise<Html> {
  const sinceMs = hourOf(nowMs - dayMs);
  const [routes = null, users = null] = await Promise.all(
    (['route', 'user'] as const).map((by) => reads.orNull(usage.shares(id, { by, sinceMs }, shownMax))),
  );
  return html`<h2 class="card-head">
      Who uses it <span class="soft small">since ${formatTime(sinceMs, zone)}</span>
    </h2>
    ${shareTable('Routes', 'Route', routes, currency, { '*': 'no route of its own' })}
    ${shareTable('Users', 'User', users, currency, { '': 'none named' })}`;
}

function shareTable(
  caption: string,
  heading: string,
  rows: readonly UsageShare[] | null,
  currency: string | null,
  names: Readonly<Record<string, string>>,
): Html {
  const columns: readonly Column<UsageShare>[] = [
    { title: heading, kind: 'head', cell: ({ key }) => names[key] ?? key },
    { title: 'Requests', kind: 'number', cell: ({ requests }) => count(requests) },
    { title: 'Refused', kind: 'number', cell: ({ limited }) => count(limited) },
    { title: 'Cost', kind: 'number', cell: ({ cost }) => money(cost, currency) },
  ];
  const empty = emptyState('No requests', 'The first one shows here within seconds.');
  return table({ caption, columns, rows, empty });
}
