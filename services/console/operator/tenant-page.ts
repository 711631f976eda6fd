import type { FastifyRequest } from 'fastify';
import type { TenantRecord } from '../../../shared/domain/tenant.ts';
import type { Money } from '../../../shared/domain/money.ts';
import type { ConsoleParts } from '../console.ts';
import { count, money, stamp, title } from '../pages/format.ts';
import { graph } from '../pages/graph.ts';
import { html } from '../pages/html.ts';
import type { Html } from '../pages/html.ts';
import { emptyState, failedState } from '../pages/layout.ts';
import type { PageContent } from '../portal/visitor.ts';
import { limitTable } from '../portal/limits-page.ts';
import { snapshotOf } from '../portal/snapshot.ts';
import { freshness, limitCards } from '../portal/usage-page.ts';
import { readOrNull } from '../read-or-null.ts';
import { recentChanges } from '../tenants/audit-trail.ts';
import { limitsOfTenant } from '../tenants/limits.ts';
import {
  blockSection,
  boostSection,
  keySection,
  planSection,
  portalSection,
  resetSection,
} from './tenant-forms.ts';

const refusalsMax = 10;

export async function tenantPage(parts: ConsoleParts, request: FastifyRequest): Promise<PageContent> {
  const asked = (request.params as { id: string }).id;
  const id = asked === 'open' ? ((request.query as { id?: string }).id ?? '').trim() : asked;
  const { usage, clock, directory, policy } = parts;
  const nowMs = clock.now();
  const record = directory.get(id) ?? null;
  const [now, points, refusals] = await Promise.all([
    snapshotOf(parts, id),
    readOrNull(parts, usage.series(id, '24h', nowMs)),
    readOrNull(parts, usage.refusals(id, nowMs - 86_400_000, refusalsMax)),
  ]);
  const held = limitsOfTenant(policy(), record, now.plan, nowMs);
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
        ${now.block === null ? null : html`<span class="badge bad">blocked ${now.block.until === null ? '' : `until ${stamp(now.block.until)}`}</span>`}
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
            ${freshness(now)}
          </div>
          ${graph(points, '24h', `/operator/data/tenants/${encodeURIComponent(id)}/series?span=24h`)}
          ${todayLine(now.today)}
        </section>
        ${boostSection(forms)}
        <section class="card">
          <h2 class="card-head">Limits as they hold now</h2>
          ${limitTable([...held.shared, ...held.apart], 'The policy has no limits for this plan.')}
        </section>
        <section class="card">
          <h2 class="card-head">Latest refusals</h2>
          ${
            refusals === null
              ? failedState('The list of refusals')
              : refusals.length === 0
                ? emptyState('Nothing was refused', 'In the last 24 hours every request had room.')
                : html`<ul class="list">
                    ${refusals.map(
                      (event) =>
                        html`<li>
                          <code>${event.method} ${event.path}</code> ${event.limited_by.join(', ')}
                          <span class="soft small"
                            >${stamp(event.time)} · <span class="mono">${event.event_id}</span></span
                          >
                        </li>`,
                    )}
                  </ul>`
          }
        </section>
        ${trail(record)}
      </div>
      <div class="stack">
        ${planSection(forms)} ${blockSection(forms)} ${resetSection(forms)} ${keySection(forms)}
        ${portalSection(forms)}
      </div>
    </div>`;
  return { title: record?.display_name ?? id, body, scripts: ['live.js', 'graph.js'] };
}

function todayLine(today: { requests: number; limited: number; cost: Money } | null): Html {
  if (today === null) return failedState("Today's totals");
  return html`<p class="soft number">
    Today: ${count(today.requests)} requests, ${count(today.limited)} refused, cost ${money(today.cost)}
  </p>`;
}

function trail(record: TenantRecord | null): Html {
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
                  ${change.detail}<br /><span class="soft small">${change.actor}, ${stamp(change.at)}</span>
                </li>`,
            )}
          </ul>`
    }
  </section>`;
}
