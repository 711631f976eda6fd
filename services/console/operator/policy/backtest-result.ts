import type { BacktestState } from '../../../../shared/backtest/backtests.ts';
import type { BacktestResult, GroupEffect, LimitEffect } from '../../../../shared/backtest/result.ts';
import { formatTime } from '../../../../shared/domain/time/format-time.ts';
import { count, counted } from '../../../../shared/domain/text/counted.ts';
import { html } from '../../components/html.ts';
import type { Html } from '../../components/html.ts';
import { emptyState } from '../../components/layout.ts';
import { table } from '../../components/table.ts';
import type { Column } from '../../components/table.ts';

/** The backtest that was started last: its progress, its failure or its result. */
export function backtestState(state: BacktestState, mayCancel: boolean): Html {
  const { request, startedBy, startedAt } = state;
  const range = `${formatTime(new Date(request.fromMs).toISOString())} to ${formatTime(new Date(request.toMs).toISOString())}`;
  const head = html`<p class="soft small">
    Revision ${request.policy.revision} on the requests of ${request.tenantId ?? 'all tenants'}, ${range};
    started by ${startedBy} at ${formatTime(startedAt)}.
  </p>`;
  switch (state.state) {
    case 'running':
      return html`${head}
        <p role="status">${count(state.events)} of ${counted(state.total, 'event')} read…</p>
        <progress
          max="${Math.max(1, state.total)}"
          value="${state.events}"
          aria-label="Events that were read"
        ></progress>
        ${
          mayCancel
            ? html`<form class="plain" method="post" action="/operator/policy/backtest/cancel">
                <button class="quiet" type="submit">Cancel</button>
              </form>`
            : null
        }`;
    case 'failed':
      return html`${head}
        <p class="notice bad" role="alert">The backtest failed: ${state.error}</p>`;
    case 'cancelled':
      return html`${head}${emptyState('Cancelled', 'The backtest was cancelled and has no result.')}`;
    case 'finished':
      return html`${head}${state.result === null ? null : resultOf(state.result)}`;
  }
}

function resultOf(result: BacktestResult): Html {
  const { newly_refused: refused, newly_allowed: allowed, tenants, agreement, money } = result;
  const currency = money.currency ?? '';
  return html`<ul class="list">
      <li>
        <strong>${count(refused)}</strong> of ${counted(result.requests, 'request')} passed and would be
        refused (${count(tenants.with_newly_refused)} of ${counted(tenants.total, 'tenant')}).
      </li>
      <li>
        <strong>${count(allowed)}</strong> of them were refused and would pass
        (${counted(tenants.with_newly_allowed, 'tenant')}).
      </li>
      <li>
        Cost of the requests that pass: ${currency} ${money.cost} → ${currency} ${money.cost_proposed}.
        Revenue a month of these tenants: ${currency} ${money.monthly_revenue} → ${currency}
        ${money.monthly_revenue_proposed}.
      </li>
      <li>${agreementText(agreement)}</li>
    </ul>
    <h3>By limit</h3>
    ${table({ caption: 'Refusals by limit', columns: limitColumns, rows: result.by_limit, empty: noRefusal })}
    <h3>By tenant</h3>
    ${groupTable('Tenant', result.by_tenant)}
    <h3>By route</h3>
    ${groupTable('Route', result.by_route)}
    <h3>By plan</h3>
    ${groupTable('Plan', result.by_plan)}
    <details class="fold">
      <summary>Where this is not exact</summary>
      <ul>
        ${result.assumptions.map(
          ({ detail, requests }) =>
            html`<li>${detail}${requests === undefined ? null : ` (${counted(requests, 'request')})`}</li>`,
        )}
      </ul>
    </details>`;
}

function agreementText({ compared, agreed, share }: BacktestResult['agreement']): string {
  if (share === null)
    return 'The range has no decision of the policy in force, so it is unknown how exact the replay is.';
  const percent = agreed === compared ? '100' : (Math.floor(share * 10_000) / 100).toFixed(2);
  return `The replay of the policy in force agrees with the record in ${percent} % of ${counted(compared, 'decision')}.`;
}

const noRefusal = emptyState('No refusal', 'No limit refused a request, or would refuse one.');

const limitColumns: readonly Column<LimitEffect>[] = [
  { title: 'Limit', kind: 'head', cell: ({ limit }) => limit },
  { title: 'Refused', kind: 'number', cell: ({ refused }) => count(refused) },
  { title: 'Would refuse', kind: 'number', cell: (limit) => count(limit.refused_proposed) },
  { title: 'Newly', kind: 'number', cell: (limit) => count(limit.newly_refused) },
  { title: 'In shadow', kind: 'number', cell: (limit) => count(limit.shadow_proposed) },
];

const groupsShown = 20;

function groupTable(title: string, groups: readonly GroupEffect[]): Html {
  const columns: readonly Column<GroupEffect>[] = [
    { title, kind: 'head', cell: ({ name }) => (name === '' ? 'anonymous callers' : name) },
    { title: 'Requests', kind: 'number', cell: ({ requests }) => count(requests) },
    { title: 'Refused', kind: 'number', cell: ({ refused }) => count(refused) },
    { title: 'Would refuse', kind: 'number', cell: (group) => count(group.refused_proposed) },
    { title: 'Newly refused', kind: 'number', cell: (group) => count(group.newly_refused) },
    { title: 'Newly allowed', kind: 'number', cell: (group) => count(group.newly_allowed) },
  ];
  return table({
    caption: `Changes by ${title.toLowerCase()}`,
    columns,
    rows: groups,
    first: {
      countMax: groupsShown,
      sentence: `The ${groupsShown} with the most changes are shown; \`tollgate policy backtest --json\` has more.`,
    },
    empty: emptyState('No requests', 'The range has no requests.'),
  });
}
