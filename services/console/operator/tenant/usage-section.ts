import { hourOf } from '../../../../shared/clickhouse/queries/portal/usage-shares.ts';
import type { UsageShare } from '../../../../shared/clickhouse/queries/portal/usage-shares.ts';
import { count } from '../../../../shared/domain/text/counted.ts';
import { formatTime } from '../../../../shared/domain/time/format-time.ts';
import type { StoreReads } from '../../../../shared/runtime/store-reads.ts';
import type { UsageReader } from '../../../../shared/tenants/usage-reader.ts';
import { money } from '../../components/format.ts';
import { breakable, html } from '../../components/html.ts';
import type { Html } from '../../components/html.ts';
import { emptyState } from '../../components/layout.ts';
import { table } from '../../components/table.ts';
import type { Column } from '../../components/table.ts';

export interface UsageSectionSources {
  readonly usage: Pick<UsageReader, 'shares'>;
  readonly reads: StoreReads;
}

const hourMs = 3_600_000;
const dayMs = 24 * hourMs;
const shownMax = 8;

export interface UsageSection {
  readonly zone: string;
  readonly currency: string | null;
  readonly nowMs: number;
  /** True: the users of the last 24 hours too, which ClickHouse counts from all events of that time. */
  readonly usersOfDay: boolean;
}

/** The routes with the most requests of the last 24 hours and the users with the most of the last hours, with their cost. */
export async function usagePart(
  { usage, reads }: UsageSectionSources,
  id: string,
  { zone, currency, nowMs, usersOfDay }: UsageSection,
): Promise<Html> {
  const since = { route: hourOf(nowMs - dayMs), user: hourOf(nowMs - (usersOfDay ? dayMs : hourMs)) };
  const [routes = null, users = null] = await Promise.all(
    (['route', 'user'] as const).map((by) =>
      reads.orNull(usage.shares(id, { by, sinceMs: since[by] }, shownMax + 1)),
    ),
  );
  const section = (title: string, sinceMs: number, shares: Html): Html =>
    html`<section class="table-part">
      <h3>${title} <span class="soft small">since ${formatTime(sinceMs, zone)}</span></h3>
      ${shares}
    </section>`;
  const path = `/operator/tenants/${encodeURIComponent(id)}`;
  return html`<h2>Who uses it</h2>
    ${section('Routes', since.route, shareTable('Routes', 'Route', routes, currency, { '*': 'no route of its own' }))}
    ${section('Users', since.user, shareTable('Users', 'User', users, currency, { '': 'none named' }))}
    ${usersOfDay ? null : html`<p><a href="${path}?users=24h">Show the users of the last 24 hours</a></p>`}`;
}

function shareTable(
  caption: string,
  heading: string,
  rows: readonly UsageShare[] | null,
  currency: string | null,
  names: Readonly<Record<string, string>>,
): Html {
  const columns: readonly Column<UsageShare>[] = [
    { title: heading, kind: 'head', cell: ({ key }) => names[key] ?? breakable(key) },
    { title: 'Requests', kind: 'number', cell: ({ requests }) => count(requests) },
    { title: 'Refused', kind: 'number', cell: ({ limited }) => count(limited) },
    { title: 'Cost', kind: 'number', cell: ({ cost }) => money(cost, currency) },
  ];
  const empty = emptyState('No requests', 'There were none since this time.');
  const first = {
    countMax: shownMax,
    sentence: `The ${shownMax} ${caption.toLowerCase()} with the most requests are shown.`,
  };
  return table({ caption, columns, rows, empty, first });
}
