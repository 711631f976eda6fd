import { boostPhase } from '../../../shared/domain/boost.ts';
import type { Policy } from '../../../shared/domain/policy.ts';
import type { Boost, TenantRecord } from '../../../shared/domain/tenant.ts';
import { formatTime } from '../../../shared/domain/time/format-time.ts';
import { settingForReading } from '../../../shared/domain/time/format-duration.ts';
import type { StoreReads } from '../../../shared/runtime/store-reads.ts';
import type { Clock } from '../../../shared/runtime/time/clock.ts';
import { boostSize } from '../../../shared/tenants/boosts.ts';
import { readSeenPlan } from '../now/seen-plan.ts';
import { limitsOfTenant } from '../../../shared/tenants/limits.ts';
import type { TenantLimit } from '../../../shared/tenants/limits.ts';
import { boostBadge } from '../components/boost-badge.ts';
import { counted, nounFor } from '../../../shared/domain/text/counted.ts';
import { title } from '../components/format.ts';
import { html } from '../components/html.ts';
import type { Html } from '../components/html.ts';
import type { PageContent } from '../components/layout.ts';
import type { Column } from '../components/table.ts';
import { requestLink } from '../components/links.ts';
import { limitTable } from '../components/limit-table.ts';
import type { Visit, Visitor } from './visitor.ts';

export interface LimitsSources {
  readonly policy: () => Policy;
  readonly reads: StoreReads;
  readonly clock: Clock;
}

export async function limitsPage(
  sources: LimitsSources,
  visitor: Visitor,
  { parts }: Visit,
): Promise<PageContent> {
  // The plan, on which all of the page depends, may have to be read from ClickHouse.
  const content = await parts.render('limits', 'Your limits', async () => {
    const { record, usage } = visitor;
    const { reads, clock } = sources;
    const { seenPlan } = await readSeenPlan({ usage, reads }, visitor, clock.now());
    return limitsPart(sources, record, seenPlan);
  });
  const body = html`<div class="page-head">
      <h1>Limits and plan</h1>
      <p class="actions">
        <a class="button second" href="/requests">Request more</a>
        <a class="button" href="${sources.policy().links.upgrade}" rel="noreferrer">Compare plans</a>
      </p>
    </div>
    ${content}`;
  return { title: 'Limits and plan', body };
}

function limitsPart(sources: LimitsSources, record: TenantRecord | null, seenPlan: string | null): Html {
  const nowMs = sources.clock.now();
  const policy = sources.policy();
  const limits = limitsOfTenant(policy, record, seenPlan, nowMs);
  const plan = policy.plans.get(limits.plan);
  const limitNamesOfPlan = new Set(
    [...limits.shared, ...limits.individual, ...limits.concurrent].map(({ limit }) => limit.name),
  );
  const boosts = (record?.boosts ?? []).filter((boost) => boostPhase(boost, nowMs) !== 'ended');
  return html`<p>
      You are on the <strong>${title(limits.plan)}</strong> plan. A request must have room in every limit that
      applies to it.
    </p>
    ${record === null ? null : openRequestsText(record)}
    <section class="card" aria-labelledby="all">
      <h2 class="card-head" id="all">Your whole account</h2>
      ${limitTable(limits.shared, 'Your plan has no limit for the whole account.', policy, requestColumn)}
      ${
        plan === undefined || plan.slowDown === null
          ? null
          : html`<p class="soft small">
              From ${Math.round(plan.slowDown.from * 100)} % of a limit on, requests are held back a little,
              at most ${settingForReading(plan.slowDown.maxDelayMs)}, so that you notice before anything is
              refused.
            </p>`
      }
    </section>
    <section class="card" aria-labelledby="each">
      <h2 class="card-head" id="each">Each user or address</h2>
      ${limitTable(limits.individual, 'No route has a limit of its own.', policy, requestColumn)}
    </section>
    ${
      limits.concurrent.length === 0
        ? null
        : html`<section class="card" aria-labelledby="at-once">
            <h2 class="card-head" id="at-once">Requests at once</h2>
            ${limitTable(limits.concurrent, 'Nothing limits requests at once.', policy)}
          </section>`
    }
    ${
      boosts.length === 0
        ? null
        : html`<section class="card" aria-labelledby="boosts">
            <h2 class="card-head" id="boosts">Raised for a time</h2>
            <ul class="list">
              ${boosts.map((boost) => boostItem(boost, nowMs, limitNamesOfPlan))}
            </ul>
          </section>`
    }
    <section class="card" aria-labelledby="how">
      <h2 class="card-head" id="how">How the limits count</h2>
      <ul>
        <li>
          <strong>Sliding</strong>: never more than the limit in any span of that length. Room comes back bit
          by bit.
        </li>
        <li>
          <strong>Calendar</strong>: counts from the start of the period and starts anew at its end
          (${record?.time_zone ?? 'UTC'}${
            record?.billing_day === undefined
              ? null
              : `; months begin on day ${record.billing_day}, or on the last day of a shorter month`
          }).
        </li>
        ${
          limits.concurrent.length === 0
            ? null
            : html`<li><strong>At once</strong>: requests that are in progress at the same moment.</li>`
        }
        <li>A refused request uses up nothing.</li>
      </ul>
      <p><a href="${policy.links.documentation}" rel="noreferrer">Documentation</a></p>
    </section>`;
}

const requestColumn: readonly Column<TenantLimit>[] = [
  {
    title: '',
    cell: ({ limit }) => requestLink(limit),
  },
];

function openRequestsText({ limit_requests: requests = [] }: TenantRecord): Html | null {
  const open = requests.filter(({ state }) => state === 'open').length;
  if (open === 0) return null;
  return html`<p>
    <a href="/requests">${counted(open, 'request')} for higher limits</a> ${nounFor(open, 'waits', 'wait')}
    for an answer.
  </p>`;
}

function boostItem(boost: Boost, nowMs: number, limitNamesOfPlan: ReadonlySet<string>): Html {
  return html`<li>
    <strong>${title(boost.limit)}</strong> ${boostSize(boost)} ${boostBadge(boost, nowMs, limitNamesOfPlan)}
    <br /><span class="soft"
      >${formatTime(boost.starts_at)} to ${formatTime(boost.ends_at)}. It ends by itself.</span
    >
  </li>`;
}
