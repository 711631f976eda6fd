import { windowName } from '../../../shared/domain/time/format-duration.ts';
import { attributeNames } from '../../../shared/domain/limit.ts';
import type { Limit } from '../../../shared/domain/limit.ts';
import { formatTime } from '../../../shared/domain/time/format-time.ts';
import type { TenantLimit } from '../../../shared/tenants/limits.ts';
import { count, title } from './format.ts';
import { html } from './html.ts';
import type { Html } from './html.ts';
import { emptyState } from './layout.ts';

/** Table of a tenant's limits with their rules. `none` is the text for an empty table. */
export function limitTable(limits: readonly TenantLimit[], none: string): Html {
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
        ${limits.map(limitRow)}
      </tbody>
    </table>
  </div>`;
}

function limitRow({ limit, override, boost, ofPolicy }: TenantLimit): Html {
  return html`<tr>
    <th scope="row">${title(limit.name)}</th>
    <td>${subjectText(limit.per)}${limit.route === null ? null : html`<br /><code>${limit.route}</code>`}</td>
    <td class="right">
      ${count(limit.limit)}${limit.burst > 0 ? html` <span class="soft">+ ${count(limit.burst)} burst</span>` : null}
    </td>
    <td>${limit.period === null ? windowName(limit.windowMs) : `calendar ${limit.period}`}</td>
    <td>
      ${limit.period === null ? 'Sliding' : 'Calendar'}
      ${limit.mode === 'shadow' ? html`<span class="badge plain">not enforced</span>` : null}
      ${boost === null ? null : html`<span class="badge good">raised until ${formatTime(boost.ends_at)}</span>`}
      ${override === null || boost !== null || override === ofPolicy ? null : html`<span class="badge">agreed with you</span>`}
    </td>
  </tr>`;
}

/** Who is counted, in words: `tenant, user` → `each user (or address)`. */
function subjectText(per: Limit['per']): string {
  const names = attributeNames({ per });
  if (names.length > 0)
    return `each ${names.map((name) => (name === 'key' ? 'API key' : name)).join(' and ')}`;
  if (per.includes('group')) return 'your group together';
  if (per.includes('user')) return 'each user (or address)';
  if (per.includes('ip')) return 'each address';
  return per.includes('tenant') ? 'your account' : 'all tenants together';
}
