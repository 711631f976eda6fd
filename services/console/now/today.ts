import { count } from '../../../shared/domain/text/counted.ts';
import type { StoreReads } from '../../../shared/runtime/store-reads.ts';
import type { PeriodUse, UsageReader } from '../../../shared/tenants/usage-reader.ts';
import { money } from '../components/format.ts';
import { freshnessLine, readFreshness } from '../components/freshness.ts';
import { html } from '../components/html.ts';
import type { Html } from '../components/html.ts';
import { emptyState, failedState } from '../components/layout.ts';

export interface TodaySources {
  readonly usage: UsageReader;
  readonly reads: StoreReads;
}

/** Today's totals of a tenant in its time zone, with the time up to which they are complete. */
export async function todayPart(
  { usage, reads }: TodaySources,
  tenant: { readonly id: string; readonly zone: string; readonly currency: string | null },
  nowMs: number,
): Promise<Html> {
  const [totals, freshness] = await Promise.all([
    reads.orNull(usage.totals(tenant.id, tenant.zone, nowMs)),
    readFreshness({ usage, reads }),
  ]);
  return html`<div class="card-head">
      <h2 id="today">Today <span class="soft small">(${tenant.zone})</span></h2>
      ${freshnessLine(freshness)}
    </div>
    ${tiles(totals?.day ?? null, tenant.currency)}`;
}

function tiles(today: PeriodUse | null, currency: string | null): Html {
  if (today === null) return failedState("Today's totals");
  if (today.requests === 0)
    return emptyState('No requests yet today', 'The first one shows here within seconds.');
  const figures = [
    ['Requests', 'requests', count(today.requests)],
    ['Served', 'served', count(today.requests - today.limited)],
    ['Refused', 'limited', count(today.limited)],
    ['Server errors', 'errors', count(today.errors)],
    ['Units', 'units', count(today.units)],
    ['Cost', 'cost', money(today.cost, currency)],
  ] as const;
  return html`<dl class="tiles" data-today>
    ${figures.map(
      ([name, slot, value]) =>
        html`<div>
          <dt>${name}</dt>
          <dd data-slot="${slot}">${value}</dd>
        </div>`,
    )}
  </dl>`;
}
