import type {
  CounterContent,
  CounterQuery,
  CountedCall,
} from '../../../../shared/clickhouse/queries/portal/refusals.ts';
import type { UsageEventRow } from '../../../../shared/clickhouse/queries/usage.ts';
import { attributeNames } from '../../../../shared/domain/limit.ts';
import type { Limit } from '../../../../shared/domain/limit.ts';
import { calendarOfLimit } from '../../../../shared/domain/quota.ts';
import type { TenantRecord } from '../../../../shared/domain/tenant.ts';
import { periodAt } from '../../../../shared/domain/time/calendar.ts';
import { durationForReading, windowName } from '../../../../shared/domain/time/format-duration.ts';
import { formatTime } from '../../../../shared/domain/time/format-time.ts';
import { requestsName } from '../../../../shared/domain/usage/quantity.ts';
import { count, counted, title } from '../../components/format.ts';
import { html } from '../../components/html.ts';
import type { Html } from '../../components/html.ts';
import { failedState } from '../../components/layout.ts';
import { table } from '../../components/table.ts';
import { explainRefusal } from './explain-refusal.ts';
import type { RefusalSources } from './refusals-page.ts';
import type { Visitor } from '../visitor.ts';

const callsMax = 20;

/**
 * What the counters held at the time of a refusal, when the request would have passed, and the calls that filled the
 * window. All of it is computed from the recorded requests, so it also explains old decisions.
 */
export async function countersPart(
  event: UsageEventRow,
  { policy, reads }: RefusalSources,
  { tenantId, record, zone, usage }: Visitor,
): Promise<Html> {
  if (event.decision !== 'limited' && event.decision !== 'shadow_limited') return html``;
  const limits = explainRefusal(event, policy(), record).limits.filter(isRecorded);
  const sections = await Promise.all(
    limits.map(async (limit) => {
      const query = counterQuery(limit, event, record);
      const content = await reads.orNull(usage.counterContent(tenantId, query, callsMax));
      return html`<section class="card stack" data-counter-of="${limit.name}">
        <h2>${title(limit.name)} at that time</h2>
        ${content === null ? failedState('The counter') : counterText(limit, event, content, zone)}
      </section>`;
    }),
  );
  return html`${sections}`;
}

/** Whether the recorded requests contain all that the limit counts. */
function isRecorded(limit: Limit): boolean {
  return limit.of === requestsName && attributeNames(limit).length === 0 && !limit.per.includes('group');
}

function counterQuery(limit: Limit, event: UsageEventRow, record: TenantRecord | null): CounterQuery {
  const endMs = Date.parse(event.time);
  const startMs =
    limit.period === null
      ? endMs - limit.windowMs
      : periodAt(limit.period, calendarOfLimit(limit, record), endMs).startMs - 1;
  const userId = limit.per.includes('user') && event.user_id !== '' ? event.user_id : null;
  const byAddress = limit.per.includes('ip') || (limit.per.includes('user') && userId === null);
  return {
    route: limit.route,
    userId,
    clientIp: byAddress ? event.client_ip : null,
    window: { startMs, endMs },
    needed: (used) => used + (event.units ?? 1) - limit.limit,
  };
}

function counterText(limit: Limit, event: UsageEventRow, content: CounterContent, zone: string): Html {
  const { used, requests, calls } = content;
  const passMs = passTimeMs(limit, content);
  const window = limit.period === null ? windowName(limit.windowMs) : `calendar ${limit.period}`;
  return html`<p>
      <strong>${count(used)} of ${count(limit.limit)}</strong> units were used in the ${window} before it, by
      ${counted(requests, 'request')}. This request needed ${count(event.units)}.
    </p>
    ${
      passMs === null
        ? null
        : html`<p data-slot="passes">
            It would have passed at <strong>${formatTime(passMs, zone)}</strong>,
            ${durationForReading(passMs - Date.parse(event.time))}
            later${limit.burst > 0 ? ' at the latest' : ''}.
          </p>`
    }
    ${
      calls.length === 0
        ? null
        : html`<h3>
              ${requests > calls.length ? `The oldest ${calls.length} of these requests` : 'These requests'}
            </h3>
            ${callTable(calls, zone)}`
    }`;
}

/** Time at which enough units have left the sliding window. The end of a period of a quota is stated elsewhere. */
function passTimeMs(limit: Limit, { frees }: CounterContent): number | null {
  return limit.period !== null || frees === null ? null : Date.parse(frees) + limit.windowMs;
}

function callTable(calls: readonly CountedCall[], zone: string): Html {
  return table<CountedCall>({
    caption: 'Requests in the window',
    rows: calls,
    empty: html``,
    columns: [
      { title: 'Time', kind: 'time', cell: ({ time }) => formatTime(time, zone) },
      { title: 'Request', cell: ({ method, path }) => html`<code>${method} ${path}</code>` },
      { title: 'User', cell: ({ user_id: user }) => user || '–' },
      { title: 'Units', kind: 'number', cell: ({ units }) => count(units) },
    ],
  });
}
