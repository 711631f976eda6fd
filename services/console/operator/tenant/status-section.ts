import type { TenantRecord } from '../../../../shared/domain/tenant.ts';
import { count, counted } from '../../../../shared/domain/text/counted.ts';
import { formatTime } from '../../../../shared/domain/time/format-time.ts';
import type { StoreReads } from '../../../../shared/runtime/store-reads.ts';
import { tenantStatus } from '../../../../shared/tenants/status.ts';
import type { StatusSources, TenantStatus } from '../../../../shared/tenants/status.ts';
import { title } from '../../components/format.ts';
import { html } from '../../components/html.ts';
import type { Html } from '../../components/html.ts';
import { failedState } from '../../components/layout.ts';

export interface StatusSectionSources extends StatusSources {
  readonly reads: StoreReads;
}

/** Requests this minute and today, whether and until when the tenant is blocked, and when each limit is full again. */
export async function statusPart(
  sources: StatusSectionSources,
  id: string,
  { record, zone }: { readonly record: TenantRecord | null; readonly zone: string },
): Promise<Html> {
  const outcome = await sources.reads.orNull(tenantStatus(sources, id));
  return html`<h2 class="card-head">Status</h2>
    ${outcome?.ok === true ? facts(outcome.value, record, zone) : failedState('The status')}`;
}

function facts(status: TenantStatus, record: TenantRecord | null, zone: string): Html {
  const planned =
    record?.billing_day === undefined ? '1, unless the policy names another' : record.billing_day;
  return html`<dl class="facts">
    <dt>Requests this minute</dt>
    <dd data-slot="minute">${count(status.requests_this_minute)}</dd>
    <dt>Requests today</dt>
    <dd data-slot="today">${count(status.requests_today)} <span class="soft">(${zone})</span></dd>
    <dt>Blocked</dt>
    <dd data-slot="blocked">${blockedText(status, zone)}</dd>
    <dt>Limits full again</dt>
    <dd>
      ${Object.entries(status.resets).map(([name, at]) => html`${title(name)}: ${formatTime(at, zone)}<br />`)}
    </dd>
    <dt>Raised limits</dt>
    <dd>${status.boosts.length === 0 ? 'none in force' : counted(status.boosts.length, 'boost')}</dd>
    <dt>Group</dt>
    <dd>${record?.group ?? 'none'}</dd>
    <dt>Billing day</dt>
    <dd>${planned}</dd>
    <dt>Totals complete through</dt>
    <dd>${status.complete_through === null ? 'nothing yet' : formatTime(status.complete_through, zone)}</dd>
  </dl>`;
}

function blockedText({ blocked, blocked_by: by, blocked_until: until }: TenantStatus, zone: string): string {
  if (!blocked) return 'no';
  const causes = by.map((name) => (name === 'operator' ? 'an operator' : `limit “${name}”`)).join(', ');
  if (until !== null) return `by ${causes}, until ${formatTime(until, zone)}`;
  return by.includes('operator') ? `by ${causes}, until lifted` : `by ${causes}, without a known end`;
}
