import type { Limit } from '../../../shared/domain/limit.ts';
import type { ConsoleParts } from '../console.ts';
import { count, span, stamp, title, windowName } from '../pages/format.ts';
import { html } from '../pages/html.ts';
import type { Html } from '../pages/html.ts';
import { emptyState } from '../pages/layout.ts';
import { readOrNull } from '../read-or-null.ts';
import { phaseOf, sizeOf } from '../tenants/boosts.ts';
import { limitsOfTenant } from '../tenants/limits.ts';
import type { HeldLimit } from '../tenants/limits.ts';
import type { PageContent, Visitor } from './visitor.ts';

export async function limitsPage(
  parts: ConsoleParts,
  { tenantId, record, usage }: Visitor,
): Promise<PageContent> {
  const nowMs = parts.clock.now();
  const policy = parts.policy();
  const seenPlan =
    record?.plan === undefined ? await readOrNull(parts, usage.seenPlan(tenantId, nowMs)) : null;
  const held = limitsOfTenant(policy, record, seenPlan, nowMs);
  const plan = policy.plans.get(held.plan);
  const boosts = (record?.boosts ?? []).filter((boost) => phaseOf(boost, nowMs) !== 'ended');
  const body = html`<div class="page-head">
      <div>
        <h1>Limits and plan</h1>
        <p class="lead">
          You are on the <strong>${title(held.plan)}</strong> plan. A request must have room in every limit
          that applies to it.
        </p>
      </div>
      <a class="button" href="${policy.links.upgrade}" rel="noreferrer">Compare plans</a>
    </div>
    <section class="card" aria-labelledby="all">
      <h2 class="card-head" id="all">Your whole account</h2>
      ${limitTable(held.shared, 'Your plan has no limit for the whole account.')}
      ${
        plan === undefined || plan.slowDown === null
          ? null
          : html`<p class="soft small">
              From ${Math.round(plan.slowDown.from * 100)} % of a limit on, requests are held back a little,
              at most ${span(plan.slowDown.maxDelayMs)}, so that you notice before anything is refused.
            </p>`
      }
    </section>
    <section class="card" aria-labelledby="each">
      <h2 class="card-head" id="each">Each user or address</h2>
      ${limitTable(held.apart, 'No route has a limit of its own.')}
    </section>
    ${
      boosts.length === 0
        ? null
        : html`<section class="card" aria-labelledby="boosts">
            <h2 class="card-head" id="boosts">Raised for a time</h2>
            <ul class="list">
              ${boosts.map(
                (boost) =>
                  html`<li>
                    <strong>${title(boost.limit)}</strong> ${sizeOf(boost)}
                    <span class="badge ${phaseOf(boost, nowMs) === 'running' ? 'good' : 'plain'}"
                      >${phaseOf(boost, nowMs)}</span
                    >
                    <br /><span class="soft"
                      >${stamp(boost.starts_at)} to ${stamp(boost.ends_at)}. It ends by itself.</span
                    >
                  </li>`,
              )}
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
          (${record?.time_zone ?? 'UTC'}).
        </li>
        <li>A refused request uses up nothing.</li>
      </ul>
      <p><a href="${policy.links.documentation}" rel="noreferrer">Documentation</a></p>
    </section>`;
  return { title: 'Limits and plan', body };
}

/** `tenant, user` → `each user`. */
export function perText(per: Limit['per']): string {
  if (per.includes('user')) return 'each user (or address)';
  if (per.includes('ip')) return 'each address';
  return per.includes('tenant') ? 'your account' : 'everybody together';
}

export function limitTable(limits: readonly HeldLimit[], none: string): Html {
  if (limits.length === 0) return emptyState('Nothing here', none);
  return html`<div class="scroll">
    <table>
      <thead>
        <tr>
          <th scope="col">Limit</th>
          <th scope="col">Counts</th>
          <th scope="col" class="right">Requests</th>
          <th scope="col">In</th>
          <th scope="col">Kind</th>
        </tr>
      </thead>
      <tbody>
        ${limits.map(
          ({ limit, override, boost, ofPolicy }) =>
            html`<tr>
              <th scope="row">${title(limit.name)}</th>
              <td>
                ${perText(limit.per)}${limit.route === null ? null : html`<br /><code>${limit.route}</code>`}
              </td>
              <td class="right">
                ${count(limit.limit)}${limit.burst > 0 ? html` <span class="soft">+ ${count(limit.burst)} burst</span>` : null}
              </td>
              <td>${limit.period === null ? windowName(limit.windowMs) : `calendar ${limit.period}`}</td>
              <td>
                ${limit.period === null ? 'Sliding' : 'Calendar'}
                ${limit.mode === 'shadow' ? html`<span class="badge plain">not enforced</span>` : null}
                ${boost === null ? null : html`<span class="badge good">raised until ${stamp(boost.ends_at)}</span>`}
                ${override === null || boost !== null || override === ofPolicy ? null : html`<span class="badge">agreed with you</span>`}
              </td>
            </tr>`,
        )}
      </tbody>
    </table>
  </div>`;
}
