import type { FastifyRequest } from 'fastify';
import type { TenantRecord } from '../../../shared/domain/tenant.ts';
import type { Money } from '../../../shared/domain/money.ts';
import { formatTime } from '../../../shared/domain/time/format-time.ts';
import { limitsOfTenant } from '../../../shared/tenants/limits.ts';
import { recentChanges } from '../../../shared/tenants/records.ts';
import type { UsageEventRow } from '../../../shared/clickhouse/queries/usage.ts';
import { count, money, title } from '../components/format.ts';
import { freshnessLine } from '../components/freshness.ts';
import { graph } from '../components/graph.ts';
import { html } from '../components/html.ts';
import type { Html } from '../components/html.ts';
import { emptyState, failedState } from '../components/layout.ts';
import type { PageContent } from '../components/layout.ts';
import { limitCards } from '../components/limit-cards.ts';
import { limitTable } from '../components/limit-table.ts';
import { readSnapshot } from '../components/snapshot.ts';
import type { SnapshotSources } from '../components/snapshot.ts';
import {
  blockSection,
  boostSection,
  keySection,
  planSection,
  portalSection,
  resetSection,
} from './tenant-forms.ts';

const refusalsMax = 10;

export async function tenantPage(sources: SnapshotSources, request: FastifyRequest): Promise<PageContent> {
  const id = requestedId(request);
  const { usage, clock, directory, policy, reads } = sources;
  const nowMs = clock.now();
  const record = directory.get(id) ?? null;
  const [now, points, refusals] = await Promise.all([
    readSnapshot(sources, id),
    reads.orNull(usage.series(id, '24h', nowMs)),
    reads.orNull(usage.refusals(id, nowMs - 86_400_000, refusalsMax)),
  ]);
  const limits = limitsOfTenant(policy(), record, now.plan, nowMs);
  const path = `/operator/tenants/${encodeURIComponent(id)}`;
  const forms = { id, path, record, policy: policy(), nowMs };
  const body = html`<div class="page-head">
      <div>
        <p class="small"><a href="/operator/tenants">Tenants</a></p>
        <h1>${record?.display_name ?? id}</h1>
        <p class="lead">
          <code>${id}</code
          >${record === null ? ' has no record: it is served by its token’s plan, else the default.' : null}
        </p>
      </div>
      <p>
        <span class="badge">${title(now.plan)} plan</span>
        ${now.block === null ? null : html`<span class="badge bad">blocked ${now.block.until === null ? '' : `until ${formatTime(now.block.until)}`}</span>`}
      </p>
    </div>
    <div data-live="/operator/data/tenants/${encodeURIComponent(id)}">
      <p class="notice bad" data-live-error hidden role="status">Live figures have stopped. Trying again…</p>
      ${limitCards(now)}
    </div>
    <div class="columns">
      <div class="stack">
        <section class="card">
          <div class="card-head">
            <h2>Last 24 hours</h2>
            ${freshnessLine(now)}
          </div>
          ${graph(points, '24h', `/operator/data/tenants/${encodeURIComponent(id)}/series?span=24h`)}
          ${todayLine(now.today)}
        </section>
        ${boostSection(forms)}
        <section class="card">
          <h2 class="card-head">Limits as they hold now</h2>
          ${limitTable([...limits.shared, ...limits.individual], 'The policy has no limits for this plan.')}
        </section>
        <section class="card">
          <h2 class="card-head">Latest refusals</h2>
          ${refusalList(refusals)}
        </section>
        ${changeList(record)}
      </div>
      <div class="stack">
        ${planSection(forms)} ${blockSection(forms)} ${resetSection(forms)} ${keySection(forms)}
        ${portalSection(forms)}
      </div>
    </div>`;
  return { title: record?.display_name ?? id, body, scripts: ['live.js', 'graph.js'] };
}

/** Id of the tenant from the path. The form “Open a tenant” instead requests `/open` with the id in the query. */
function requestedId({ params, query }: FastifyRequest): string {
  const { id } = params as { id: string };
  return id === 'open' ? ((query as { id?: string }).id ?? '').trim() : id;
}

function refusalList(refusals: readonly UsageEventRow[] | null): Html {
  if (refusals === null) return failedState('The list of refusals');
  if (refusals.length === 0)
    return emptyState('Nothing was refused', 'In the last 24 hours every request had room.');
  return html`<ul class="list">
    ${refusals.map(
      (event) =>
        html`<li>
          <code>${event.method} ${event.path}</code> ${event.limited_by.join(', ')}
          <span class="soft small"
            >${formatTime(event.time)} · <span class="mono">${event.event_id}</span></span
          >
        </li>`,
    )}
  </ul>`;
}

function todayLine(today: { requests: number; limited: number; cost: Money } | null): Html {
  if (today === null) return failedState("Today's totals");
  return html`<p class="soft number">
    Today: ${count(today.requests)} requests, ${count(today.limited)} refused, cost ${money(today.cost)}
  </p>`;
}

function changeList(record: TenantRecord | null): Html {
  const changes = record === null ? [] : recentChanges([record], {});
  return html`<section class="card">
    <h2 class="card-head">History of changes</h2>
    ${
      changes.length === 0
        ? emptyState('No changes yet', 'Every change shows here with who made it and why.')
        : html`<ul class="list">
            ${changes.map(
              (change) =>
                html`<li>
                  ${change.detail}<br /><span class="soft small"
                    >${change.actor}, ${formatTime(change.at)}</span
                  >
                </li>`,
            )}
          </ul>`
    }
  </section>`;
}
