import type { FastifyInstance } from 'fastify';
import { formatTime } from '../../../shared/domain/time/format-time.ts';
import type { Sessions } from '../../../shared/sessions/sessions.ts';
import { supportLink } from '../browser/brand.ts';
import type { Brand } from '../browser/brand.ts';
import type { LiveStreams } from '../browser/live-streams.ts';
import { title } from '../components/format.ts';
import { html } from '../components/html.ts';
import type { Html } from '../components/html.ts';
import type { PageContent } from '../components/layout.ts';
import { usageChart } from '../components/usage-chart.ts';
import { limitCards } from '../now/limit-cards.ts';
import type { NowReading, NowReadings, NowSources } from '../now/readings.ts';
import { todayPart } from '../now/today.ts';
import { sessionToken } from '../sessions/cookies.ts';
import { guardedVisitor } from './visitor.ts';
import type { Visit, Visitor } from './visitor.ts';

export type UsageSources = Omit<NowSources, 'usage'> & {
  readonly now: NowReadings;
  readonly liveStreams: LiveStreams;
  readonly sessions: Pick<Sessions, 'readTenant'>;
  readonly brand: Brand;
};

const todayRefreshMs = 5_000;
const chartRefreshMs = 30_000;

/**
 * First page of the portal: the counters of every limit that can refuse a request, today's figures, and a chart of the
 * last 24 hours. The counters come from Redis and are never delayed by ClickHouse.
 */
export async function usagePage(
  sources: UsageSources,
  visitor: Visitor,
  { parts }: Visit,
): Promise<PageContent> {
  const { tenantId, usage, zone } = visitor;
  const { clock, reads, policy } = sources;
  const tenant = { id: tenantId, zone, currency: policy().currency };
  const wanted = <Value>(read: () => Promise<Value>): Promise<Value | null> =>
    parts.wanted === null ? read() : Promise.resolve(null);
  const [now, today, chart] = await Promise.all([
    wanted(() => sources.now.read(tenantId)),
    parts.render('today', "Today's totals", () => todayPart({ usage, reads }, tenant, clock.now()), {
      refreshMs: todayRefreshMs,
    }),
    parts.render(
      'chart',
      'The last 24 hours',
      async () => usageChart(await reads.orNull(usage.series(tenantId, '24h', clock.now())), '24h', zone),
      { refreshMs: chartRefreshMs },
    ),
  ]);
  const body =
    now === null
      ? null
      : html`<div class="page-head">
            <div>
              <h1>Usage now</h1>
              <p class="lead">Every limit that can refuse a request, and when more passes again.</p>
            </div>
          </div>
          <div data-live>
            <p class="notice bad" data-live-stopped hidden role="status">
              Live figures have stopped. Trying again…
            </p>
            <div id="now" class="stack" hx-sse:connect="/usage/live" hx-swap="innerMorph">
              ${nowPart(now, sources.brand)}
            </div>
          </div>
          <section class="card" aria-labelledby="today">${today}</section>
          <section class="card" aria-labelledby="day">
            <div class="card-head">
              <h2 id="day">Last 24 hours</h2>
              <a href="/history">History</a>
            </div>
            ${chart}
          </section>`;
  return { title: 'Now', body, charts: true };
}

/** The stream of the live part. It ends when the session has ended. */
export function registerUsageStream(app: FastifyInstance, sources: UsageSources): void {
  app.get('/usage/live', (request, reply) => {
    const { tenantId } = guardedVisitor(request);
    const token = sessionToken(request, 'tollgate_portal');
    return sources.liveStreams.open(reply, tenantId, async () => {
      if ((await sources.sessions.readTenant(token)).kind !== 'valid') return null;
      return nowPart(await sources.now.read(tenantId), sources.brand);
    });
  });
}

function nowPart(now: NowReading, brand: Brand): Html {
  return html`<p id="now-plan">
      <span class="badge">${title(now.plan)} plan</span>
      ${now.planKnown ? null : html`<span class="soft small">(the usage log, which has your plan, does not answer)</span>`}
    </p>
    ${blockNotice(now, brand)} ${limitCards(now, { requests: true })}`;
}

function blockNotice({ block }: NowReading, brand: Brand): Html | null {
  if (block === null) return null;
  return html`<p class="notice bad" role="alert" id="blocked">
    Your access is blocked
    ${block.until === null ? 'until further notice' : `until ${formatTime(block.until)}`}: ${block.reason}.
    ${supportLink(brand)} if this is unexpected.
  </p>`;
}
