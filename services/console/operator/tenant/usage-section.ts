import type { HistoryRow } from '../../../../shared/clickhouse/queries/portal/usage-history.ts';
import type { Money } from '../../../../shared/domain/money.ts';
import { count } from '../../../../shared/domain/text/counted.ts';
import type { StoreReads } from '../../../../shared/runtime/store-reads.ts';
import type { UsageReader } from '../../../../shared/tenants/usage-reader.ts';
import { money } from '../../components/format.ts';
import { html } from '../../components/html.ts';
import type { Html } from '../../components/html.ts';
import { emptyState } from '../../components/layout.ts';
import { table } from '../../components/table.ts';
import type { Column } from '../../components/table.ts';

export interface UsageSectionSources {
  readonly usage: UsageReader;
  readonly reads: StoreReads;
}

interface Share {
  /** Route or user. */
  readonly key: string;
  readonly requests: number;
  readonly limited: number;
  readonly cost: Money;
}

const hourMs = 3_600_000;
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
  const span = { startMs: nowMs - 24 * hourMs, endMs: nowMs, stepMs: hourMs, zone, filter: {} };
  const [routes, users] = await Promise.all(
    (['route', 'user'] as const).map((by) => reads.orNull(usage.history(id, { ...span, by }))),
  );
  return html`<h2 class="card-head">Who uses it, in the last 24 hours</h2>
    ${shareTable('Routes', 'Route', routes ?? null, currency, { '*': 'no route of its own' })}
    ${shareTable('Users', 'User', users ?? null, currency, { '': 'none named' })}`;
}

function shareTable(
  caption: string,
  heading: string,
  rows: readonly HistoryRow[] | null,
  currency: string | null,
  names: Readonly<Record<string, string>>,
): Html {
  const columns: readonly Column<Share>[] = [
    { title: heading, kind: 'head', cell: ({ key }) => names[key] ?? key },
    { title: 'Requests', kind: 'number', cell: ({ requests }) => count(requests) },
    { title: 'Refused', kind: 'number', cell: ({ limited }) => count(limited) },
    { title: 'Cost', kind: 'number', cell: ({ cost }) => money(cost, currency) },
  ];
  const empty = emptyState('No requests', 'The first one shows here within seconds.');
  return table({ caption, columns, rows: rows === null ? null : sharesIn(rows), empty });
}

/** Sums the intervals of each key; most requests first. */
function sharesIn(rows: readonly HistoryRow[]): readonly Share[] {
  const shares = new Map<string, Share>();
  for (const { key, requests, limited, cost } of rows) {
    const share = shares.get(key) ?? { key, requests: 0, limited: 0, cost: 0n };
    shares.set(key, {
      key,
      requests: share.requests + requests,
      limited: share.limited + limited,
      cost: share.cost + cost,
    });
  }
  return [...shares.values()].toSorted((a, b) => b.requests - a.requests).slice(0, shownMax);
}
