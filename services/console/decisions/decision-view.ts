import type { UsageEventRow } from '../../../shared/clickhouse/queries/usage.ts';
import { count } from '../../../shared/domain/text/counted.ts';
import { durationForReading } from '../../../shared/domain/time/format-duration.ts';
import { formatTime } from '../../../shared/domain/time/format-time.ts';
import { explainRefusal } from '../../../shared/tenants/decisions/explain-refusal.ts';
import type { Explanation, WithoutTime } from '../../../shared/tenants/decisions/explain-refusal.ts';
import { html, pathCode } from '../components/html.ts';
import type { Html } from '../components/html.ts';
import type { DecisionSources, DecisionTenant } from './decision-counters.ts';

/** The content of the page of one decision: why it was refused, the counters, and the request. */
export function decisionView(
  event: UsageEventRow,
  { policy }: Pick<DecisionSources, 'policy'>,
  { record, zone }: Pick<DecisionTenant, 'record' | 'zone'>,
  { counters, back }: { readonly counters: Html; /** Link to the page before. */ readonly back: Html },
): Html {
  const refusedNow = event.decision === 'limited' || event.decision === 'shadow_limited';
  const why = refusedNow ? explainRefusal(event, policy(), record) : null;
  return html`<div class="page-head">
      <div>
        <h1>${event.decision === 'limited' ? 'Why this was refused' : 'A decision'}</h1>
        <p class="lead mono">${event.method} ${event.path}</p>
      </div>
      ${back}
    </div>
    ${
      why === null
        ? html`<section class="card"><p>This request was let pass (${event.decision}).</p></section>`
        : html`<section class="card stack">
            <h2>${why.reason}</h2>
            <p>${passText(event, why, zone)}</p>
            <p><strong>What to do:</strong> ${why.advice}</p>
          </section>`
    }
    ${counters}
    <section class="card">
      <h2 class="card-head">The request</h2>
      <dl class="facts">
        <dt>Time</dt>
        <dd>${formatTime(event.time, zone)}</dd>
        <dt>Answer</dt>
        <dd>${event.status}</dd>
        <dt>Rule of the route</dt>
        <dd>${event.route === '*' ? 'no route of its own' : pathCode(event.route)}</dd>
        <dt>Limits without room</dt>
        <dd>${event.limited_by.join(', ') || 'none'}</dd>
        <dt>User</dt>
        <dd>${event.user_id || 'none named'}</dd>
        <dt>Address</dt>
        <dd>${event.client_ip || 'unknown'}</dd>
        <dt>API key</dt>
        <dd>${event.api_key === '' ? 'none' : html`<code>${event.api_key}</code>`}</dd>
        <dt>Plan then</dt>
        <dd>${event.plan}</dd>
        <dt>Policy revision</dt>
        <dd>${event.policy_revision === '' ? 'unknown' : html`<code>${event.policy_revision}</code>`}</dd>
        <dt>Units requested</dt>
        <dd>${count(event.units)}</dd>
        <dt>Decided</dt>
        <dd>
          ${event.degraded ? 'by the node alone, without Redis (limits are shared out among nodes then)' : 'by the shared counters'}
        </dd>
        <dt>Decision id</dt>
        <dd><code>${event.event_id}</code></dd>
      </dl>
    </section>`;
}

const textWithoutTime: Readonly<Record<WithoutTime, string>> = {
  'when-others-end': 'It would have passed as soon as one of the running requests had ended.',
  unknown: 'The time at which it would have passed is not recorded.',
  never: 'Waiting would not have changed the answer.',
};

function passText(event: UsageEventRow, { latestPassMs, withoutTime }: Explanation, zone: string): string {
  if (latestPassMs === null) return textWithoutTime[withoutTime ?? 'unknown'];
  const wait = durationForReading(latestPassMs - Date.parse(event.time));
  return `It would have passed at the latest ${wait} later, at ${formatTime(latestPassMs, zone)}; its Retry-After header named the exact time.`;
}
