import type { CounterContent, CountedCall } from '../../../shared/clickhouse/queries/portal/refusals.ts';
import type { UsageEventRow } from '../../../shared/clickhouse/queries/usage.ts';
import { count, counted } from '../../../shared/domain/text/counted.ts';
import type { Limit } from '../../../shared/domain/limit.ts';
import type { Policy } from '../../../shared/domain/policy.ts';
import type { TenantRecord } from '../../../shared/domain/tenant.ts';
import { durationForReading, windowOfLimit } from '../../../shared/domain/time/format-duration.ts';
import { formatTime } from '../../../shared/domain/time/format-time.ts';
import type { StoreReads } from '../../../shared/runtime/store-reads.ts';
import type { Clock } from '../../../shared/runtime/time/clock.ts';
import { counterQuery, isRecorded, passTimeMs } from '../../../shared/tenants/decisions/counters-then.ts';
import { explainRefusal } from '../../../shared/tenants/decisions/explain-refusal.ts';
import type { UsageReader } from '../../../shared/tenants/usage-reader.ts';
import { title } from '../components/format.ts';
import { expiredNotice } from '../components/freshness.ts';
import { breakable, html, pathCode } from '../components/html.ts';
import type { Html } from '../components/html.ts';
import { failedState } from '../components/layout.ts';
import { table } from '../components/table.ts';

export interface DecisionSources {
  readonly policy: () => Policy;
  readonly reads: StoreReads;
  readonly clock: Clock;
}

/** The tenant of a decision, and how its page is written. */
export interface DecisionTenant {
  readonly tenantId: string;
  readonly record: TenantRecord | null;
  /** Time zone of the times on the page. */
  readonly zone: string;
  readonly usage: UsageReader;
}

const callsMax = 20;

/**
 * What the counters held at the time of a refusal, when the request would have passed, and the calls that filled the
 * window. All of it is computed from the recorded requests, so it also explains old decisions.
 */
export async function countersPart(
  event: UsageEventRow,
  { policy, reads, clock }: DecisionSources,
  { tenantId, record, zone, usage }: DecisionTenant,
): Promise<Html> {
  if (event.decision !== 'limited' && event.decision !== 'shadow_limited') return html``;
  const limits = explainRefusal(event, policy(), record).limits.filter(isRecorded);
  if (limits.length === 0) return html``;
  // The time is the same for all limits, so it is read once, at the same time as the counters.
  const storedSince = reads.orNull(usage.eventsStoredSince(clock.now()));
  const sections = await Promise.all(
    limits.map(async (limit) => {
      const query = counterQuery(limit, event, record);
      const [content, since] = await Promise.all([
        reads.orNull(usage.counterContent(tenantId, query, callsMax)),
        storedSince,
      ]);
      return html`<section class="card stack" data-counter-of="${limit.name}">
        <h2>${title(limit.name)} at that time</h2>
        ${expiredNotice(query.window.startMs, since, zone)}
        ${content === null ? failedState('The counter') : counterText(limit, event, content, zone)}
      </section>`;
    }),
  );
  return html`${sections}`;
}

function counterText(limit: Limit, event: UsageEventRow, content: CounterContent, zone: string): Html {
  const { used, requests, calls } = content;
  const passMs = passTimeMs(limit, content);
  const window = windowOfLimit(limit);
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

function callTable(calls: readonly CountedCall[], zone: string): Html {
  return table<CountedCall>({
    caption: 'Requests in the window',
    rows: calls,
    empty: html``,
    columns: [
      { title: 'Time', kind: 'time', cell: ({ time }) => formatTime(time, zone) },
      { title: 'Request', cell: ({ method, path }) => pathCode(`${method} ${path}`) },
      { title: 'User', cell: ({ user_id: user }) => breakable(user || '–') },
      { title: 'Units', kind: 'number', cell: ({ units }) => count(units) },
    ],
  });
}
