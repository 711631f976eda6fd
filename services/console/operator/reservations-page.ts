import type { OpenReservation } from '../../../shared/clickhouse/queries/reservations.ts';
import { moneyText } from '../../../shared/domain/money.ts';
import { formatTime } from '../../../shared/domain/time/format-time.ts';
import type { StoreReads } from '../../../shared/runtime/store-reads.ts';
import type { Clock } from '../../../shared/runtime/time/clock.ts';
import type { UsageReader } from '../../../shared/tenants/usage-reader.ts';
import { freshnessLine, readFreshness } from '../components/freshness.ts';
import { html, pathCode } from '../components/html.ts';
import { emptyState } from '../components/layout.ts';
import type { PageContent } from '../components/layout.ts';
import { addressOf } from '../components/links.ts';
import { sortNames, sortRows, sortingOf } from '../components/sorting.ts';
import type { OperatorVisit } from './signed-in.ts';
import { table } from '../components/table.ts';
import type { Column } from '../components/table.ts';

export interface ReservationSources {
  readonly usage: UsageReader;
  readonly reads: StoreReads;
  readonly clock: Clock;
}

const shownMax = 200;
/** A reservation can be settled for a day after its call, and is longest a day itself. */
const listedMs = 48 * 3_600_000;

/** Page of the calls that are in progress or were never settled, by the end of their reservation. */
export async function reservationsPage(
  sources: ReservationSources,
  { request, parts }: OperatorVisit,
): Promise<PageContent> {
  const { usage, reads, clock } = sources;
  const expiredOnly = (request.query as { state?: string }).state === 'expired';
  const nowMs = clock.now();
  const sorted = sortingOf(request.query as Record<string, string>, sortNames(columns), {
    by: 'ends',
    descending: false,
  });
  const list = await parts.render('reservations', 'Reservations', async () => {
    const [found, freshness] = await Promise.all([
      reads.orNull(
        usage.openReservations({
          ...{ tenantId: null, expiredOnly, sinceMs: nowMs - listedMs, nowMs },
          countMax: shownMax + 1,
        }),
      ),
      readFreshness(sources),
    ]);
    // The first to end are chosen before the order of the table.
    const rows = found?.slice(0, shownMax) ?? null;
    return html`<section class="card">
        ${table({
          caption: 'Reservations',
          columns,
          rows: rows === null ? null : sortRows(rows, columns, sorted),
          sorted,
          address: addressOf(request),
          empty: emptyState('None', 'Every call of this time has its settlement.'),
        })}
        ${(found?.length ?? 0) > shownMax ? html`<p class="soft small">There are more: the first ${String(shownMax)} to end are shown.</p>` : null}
      </section>
      <p>${freshnessLine(freshness)}</p>`;
  });
  const body = html`<div class="page-head">
      <div>
        <h1>Reservations</h1>
        <p class="lead">
          Calls of the last 48 hours without a settlement. An expired one stays charged with what it reserved
          until a late settlement corrects it.
        </p>
      </div>
      <nav class="segments" aria-label="State">
        ${(
          [
            ['/operator/reservations', 'All', !expiredOnly],
            ['/operator/reservations?state=expired', 'Expired', expiredOnly],
          ] as const
        ).map(
          ([href, label, here]) =>
            html`<a href="${href}" ${here ? html`aria-current="true"` : null}>${label}</a>`,
        )}
      </nav>
    </div>
    ${list}`;
  return { title: 'Reservations', body };
}

const columns: readonly Column<OpenReservation>[] = [
  {
    title: 'State',
    cell: ({ expired }) =>
      expired ? html`<span class="badge bad">expired</span>` : html`<span class="badge good">open</span>`,
  },
  {
    ...{ title: 'Ends', kind: 'time', sort: 'ends' },
    value: ({ expires_at: end }) => end,
    cell: ({ expires_at: end }) => formatTime(end),
  },
  {
    ...{ title: 'Tenant', kind: 'head', sort: 'tenant' },
    value: ({ tenant_id: id }) => id,
    cell: ({ tenant_id: id }) => html`<a href="/operator/tenants/${encodeURIComponent(id)}">${id}</a>`,
  },
  {
    title: 'Route',
    sort: 'route',
    value: ({ route }) => route,
    cell: ({ route }) => pathCode(route),
  },
  { title: 'Model', sort: 'model', value: ({ model }) => model, cell: ({ model }) => model },
  { title: 'By', cell: ({ entrypoint, node }) => `${entrypoint}, ${node}` },
  {
    title: 'Reserved',
    kind: 'number',
    cell: ({ reserved }) =>
      Object.entries(reserved).map(
        ([name, amount], at) => html`${at === 0 ? null : html`,<br />`}${moneyText(amount)} ${name}`,
      ),
  },
  { title: 'Reservation', cell: ({ reservation_id: id }) => html`<code>${id}</code>` },
];
