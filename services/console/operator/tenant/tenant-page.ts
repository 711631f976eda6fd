import type { FastifyInstance, FastifyRequest } from 'fastify';
import type { Sessions } from '../../../../shared/sessions/sessions.ts';
import type { LiveStreams } from '../../browser/live-streams.ts';
import type { Parts } from '../../browser/parts.ts';
import { count, counted } from '../../../../shared/domain/text/counted.ts';
import type { TenantRecord } from '../../../../shared/domain/tenant.ts';
import type { Money } from '../../../../shared/domain/money.ts';
import { calendarOf } from '../../../../shared/domain/quota.ts';
import { zoneNamed } from '../../../../shared/domain/time/calendar.ts';
import { formatTime } from '../../../../shared/domain/time/format-time.ts';
import { readOnce } from '../../../../shared/runtime/read-once.ts';
import { limitsOfTenant } from '../../../../shared/tenants/limits.ts';
import type { UsageReader } from '../../../../shared/tenants/usage-reader.ts';
import type { RecentRefusal } from '../../../../shared/clickhouse/queries/usage.ts';
import { money, title } from '../../components/format.ts';
import { freshnessLine, readFreshness } from '../../components/freshness.ts';
import { html, pathCode } from '../../components/html.ts';
import type { Html } from '../../components/html.ts';
import { emptyState, failedState } from '../../components/layout.ts';
import type { PageContent } from '../../components/layout.ts';
import { limitTable } from '../../components/limit-table.ts';
import { usageChart } from '../../components/usage-chart.ts';
import { limitCards } from '../../now/limit-cards.ts';
import type { NowReadings, NowSources } from '../../now/readings.ts';
import { sessionToken } from '../../sessions/cookies.ts';
import { guardedOperator, mayUse } from '../signed-in.ts';
import { blockSection } from './block-section.ts';
import { boostSection } from './boost-section.ts';
import { changeHistory, doneCard } from './change-history.ts';
import { keyList, keySection } from './key-section.ts';
import { statusPart } from './status-section.ts';
import { usagePart } from './usage-section.ts';
import { deliveriesPart, deliveriesRefresh, notificationSection } from './notification-section.ts';
import { noteSection, planSection, portalSection, resetSection, settingsSection } from './tenant-forms.ts';
import type { TenantForms } from './tenant-forms.ts';

const refusalsMax = 10;
const chartRefreshMs = 15_000;

export interface TenantPageSources extends NowSources {
  readonly now: NowReadings;
  readonly liveStreams: LiveStreams;
  readonly sessions: Pick<Sessions, 'readOperator'>;
}

export async function tenantPage(
  sources: TenantPageSources,
  request: FastifyRequest,
  parts: Parts,
  refused: TenantForms['refused'] = null,
): Promise<PageContent> {
  const id = requestedId(request);
  const { clock, directory, policy, reads } = sources;
  const usage = withSharedReads(sources.usage);
  const nowMs = clock.now();
  const record = directory.get(id) ?? null;
  const zone = zoneNamed(record?.time_zone) ?? 'UTC';
  const path = `/operator/tenants/${encodeURIComponent(id)}`;
  const role = request.operator?.role ?? 'viewer';
  const ofPage = { ...sources, usage };
  const {
    change: changeId,
    done,
    users,
  } = request.query as {
    change?: string;
    done?: string;
    users?: string;
  };
  const [now, status, day, used, refusals, keys, deliveries] = await Promise.all([
    parts.wanted === null ? sources.now.read(id) : null,
    parts.render('status', 'The status', () => statusPart(ofPage, id, { record, zone }), {
      refreshMs: chartRefreshMs,
    }),
    parts.render('day', 'The last 24 hours', () => dayPart(ofPage, { id, record, zone }), {
      refreshMs: chartRefreshMs,
    }),
    parts.render('used', 'Routes and users', () =>
      usagePart(ofPage, id, { zone, currency: policy().currency, nowMs, usersOfDay: users === '24h' }),
    ),
    parts.render('refusals', 'The latest refusals', async () => {
      const lastDay = { startMs: nowMs - 86_400_000, endMs: nowMs };
      return refusalList(await reads.orNull(usage.refusals(id, lastDay, refusalsMax)), zone);
    }),
    parts.render('keys', 'API keys', async () =>
      keyList({ path, record, nowMs, zone, role }, await reads.orNull(usage.keyUses(id))),
    ),
    parts.render(
      'deliveries',
      'The delivery log',
      () => deliveriesPart(ofPage, id, zone),
      deliveriesRefresh(done),
    ),
  ]);
  // A part that is refreshed or was late needs no page around it.
  if (now === null) return { title: '', body: null };
  const limits = limitsOfTenant(policy(), record, now.plan, nowMs);
  const allLimits = [...limits.shared, ...limits.individual, ...limits.concurrent];
  const limitNamesOfPlan = new Set(allLimits.map(({ limit }) => limit.name));
  const forms = { id, path, record, policy: policy(), nowMs, zone, limitNamesOfPlan, refused, role };
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
        ${now.block === null ? null : html`<span class="badge bad">blocked ${now.block.until === null ? '' : `until ${formatTime(now.block.until, zone)}`}</span>`}
      </p>
    </div>
    ${doneCard(changeId, forms)}
    <div data-live>
      <p class="notice bad" data-live-stopped hidden role="status">
        Live figures have stopped. Trying again…
      </p>
      <div id="now" class="stack" hx-sse:connect="${path}/live" hx-swap="innerMorph">${limitCards(now)}</div>
    </div>
    <div class="columns">
      <div class="stack">
        <section class="card">${status}</section>
        <section class="card">${day}</section>
        <section class="card stack">${used}</section>
        ${boostSection(forms)}
        <section class="card">
          <h2 class="card-head">Limits as they hold now</h2>
          ${limitTable(allLimits, 'The policy has no limits for this plan.', policy())}
        </section>
        <section class="card">
          <h2 class="card-head">Latest refusals</h2>
          ${refusals}
        </section>
        ${keySection(forms, keys)} ${notificationSection(forms, deliveries)} ${changeHistory(id, forms)}
      </div>
      <div class="stack">
        ${openRequests(record)} ${noteSection(forms)} ${planSection(forms)} ${settingsSection(forms)}
        ${blockSection(forms)} ${resetSection(forms)} ${portalSection(forms)}
        ${
          record !== null && mayUse(request, 'admin')
            ? html`<p><a href="${path}/delete">Delete the record…</a></p>`
            : null
        }
      </div>
    </div>`;
  return { title: record?.display_name ?? id, body, charts: true };
}

/** Several parts show the totals and the time up to which they are complete: one query for each is enough. */
function withSharedReads(usage: UsageReader): UsageReader {
  return {
    ...usage,
    totals: readOnce((...query: Parameters<UsageReader['totals']>) => usage.totals(...query)),
    completeThrough: readOnce(() => usage.completeThrough()),
  };
}

/** The stream of the limits on the page of a tenant. It ends when the operator's session has ended. */
export function registerTenantStream(app: FastifyInstance, sources: TenantPageSources): void {
  app.get<{ Params: { id: string } }>('/operator/tenants/:id/live', (request, reply) => {
    const { id } = request.params;
    const token = sessionToken(request, 'tollgate_operator');
    return sources.liveStreams.open(reply, `operator ${guardedOperator(request)}`, async () => {
      if ((await sources.sessions.readOperator(token)).kind !== 'valid') return null;
      return limitCards(await sources.now.read(id));
    });
  });
}

async function dayPart(
  { usage, reads, clock, policy }: TenantPageSources,
  { id, record, zone }: { readonly id: string; readonly record: TenantRecord | null; readonly zone: string },
): Promise<Html> {
  const nowMs = clock.now();
  const [points, totals, freshness] = await Promise.all([
    reads.orNull(usage.series(id, '24h', nowMs)),
    reads.orNull(usage.totals(id, calendarOf(record), nowMs)),
    readFreshness({ usage, reads }),
  ]);
  return html`<div class="card-head">
      <h2>Last 24 hours</h2>
      ${freshnessLine(freshness)}
    </div>
    ${usageChart(points, '24h', zone)} ${todayLine(totals?.day ?? null, policy().currency)}`;
}

/** Id of the tenant from the path. The form “Open a tenant” instead requests `/open` with the id in the query. */
function requestedId({ params, query }: FastifyRequest): string {
  const { id } = params as { id: string };
  return id === 'open' ? ((query as { id?: string }).id ?? '').trim() : id;
}

function refusalList(refusals: readonly RecentRefusal[] | null, zone: string): Html {
  if (refusals === null) return failedState('The list of refusals');
  if (refusals.length === 0)
    return emptyState('Nothing was refused', 'In the last 24 hours every request had room.');
  return html`<ul class="list">
    ${refusals.map(
      (event) =>
        html`<li>
          ${pathCode(`${event.method} ${event.path}`)} ${event.limited_by.join(', ')}
          <span class="soft small"
            >${formatTime(event.time, zone)} ·
            <a class="mono" href="/operator/decisions/${event.event_id}">${event.event_id}</a></span
          >
        </li>`,
    )}
  </ul>`;
}

/** Link to the open requests of the tenant for higher limits. */
function openRequests(record: TenantRecord | null): Html | null {
  const open = (record?.limit_requests ?? []).filter(({ state }) => state === 'open');
  return open.length === 0
    ? null
    : html`<p class="notice warn">
        <a href="/operator/requests">${counted(open.length, 'request')} for a higher limit to answer</a>
      </p>`;
}

function todayLine(
  today: { requests: number; limited: number; cost: Money } | null,
  currency: string | null,
): Html {
  if (today === null) return failedState("Today's totals");
  return html`<p class="soft number">
    Today: ${counted(today.requests, 'request')}, ${count(today.limited)} refused, cost
    ${money(today.cost, currency)}
  </p>`;
}
