import { spendingUsersMax } from '../../../shared/clickhouse/queries/spend/spend.ts';
import type { SpendBy, SpendQuery } from '../../../shared/clickhouse/queries/spend/spend.ts';
import { count } from '../../../shared/domain/text/counted.ts';
import type { LimitState } from '../../../shared/domain/limit.ts';
import { approximateMoney } from '../../../shared/domain/money.ts';
import type { Policy } from '../../../shared/domain/policy.ts';
import type { Span } from '../../../shared/clickhouse/queries/period-totals.ts';
import { calendarOf } from '../../../shared/domain/quota.ts';
import { dateAt, periodAt } from '../../../shared/domain/time/calendar.ts';
import { formatTime } from '../../../shared/domain/time/format-time.ts';
import { requestsName } from '../../../shared/domain/usage/quantity.ts';
import type { Limiter } from '../../../shared/redis/decision/limiter.ts';
import type { StoreReads } from '../../../shared/runtime/store-reads.ts';
import type { Clock } from '../../../shared/runtime/time/clock.ts';
import { limitsOfTenant } from '../../../shared/tenants/limits.ts';
import { readSeenPlan } from '../now/seen-plan.ts';
import { readLimitStates } from '../../../shared/tenants/live-usage.ts';
import { bar } from '../components/bars.ts';
import { minorAmountText, money, title } from '../components/format.ts';
import { expiredNotice, freshnessLine, readFreshness } from '../components/freshness.ts';
import { breakable, html } from '../components/html.ts';
import type { Html } from '../components/html.ts';
import { emptyState, failedState } from '../components/layout.ts';
import type { PageContent } from '../components/layout.ts';
import { table } from '../components/table.ts';
import type { Column } from '../components/table.ts';
import type { Visit, Visitor } from './visitor.ts';

export interface SpendSources {
  readonly limiter: Pick<Limiter, 'check'>;
  readonly reads: StoreReads;
  readonly clock: Clock;
  readonly policy: () => Policy;
}

/** Page of the calls whose usage is measured: the budgets now, and what was spent this month by day, model, route and user. */
export async function spendPage(
  sources: SpendSources,
  visitor: Visitor,
  { request, parts }: Visit,
): Promise<PageContent> {
  const { clock, policy } = sources;
  const nowMs = clock.now();
  const month = periodAt('month', calendarOf(visitor.record), nowMs);
  const query = { tenantId: visitor.tenantId, zone: visitor.zone };
  const read = (by: SpendQuery['by'], spans: readonly Span[]): Promise<readonly SpendBy[] | null> =>
    sources.reads.orNull(visitor.usage.spendBy({ ...query, by, spans }));
  const spent = await parts.render('spent', 'The spend of this month', async () => {
    const [byDay, byModel, byRoute, freshness] = await Promise.all([
      read('day', daysOf(month, calendarOf(visitor.record), nowMs)),
      read('model', [month]),
      read('route', [month]),
      readFreshness({ usage: visitor.usage, reads: sources.reads }),
    ]);
    return html`<div class="card-head">
        <h2 id="spent">
          This month
          <span class="soft small">(since ${dateAt(visitor.zone, month.startMs)}, ${visitor.zone})</span>
        </h2>
        ${freshnessLine(freshness)}
      </div>
      ${spentTables({ byDay, byModel, byRoute }, policy(), forecastOf(month, nowMs))}
      ${historyLinks(month, visitor.zone, nowMs)}`;
  });
  // Spend by user reads all events of the month, so it is read on request only.
  const wantsUsers = (request.query as { users?: string }).users !== undefined;
  const users = wantsUsers
    ? await parts.render('users', 'The spend by user', async () => {
        const [byUser, since] = await Promise.all([
          read('user', [month]),
          sources.reads.orNull(visitor.usage.eventsStoredSince(nowMs)),
        ]);
        return html`${expiredNotice(month.startMs, since, visitor.zone)} ${userTable(byUser, policy())}`;
      })
    : html`<p><a href="/spend?users=1#users">Show the spend by user</a></p>`;
  const body = html`<div class="page-head">
      <div>
        <h1>Spend</h1>
        <p class="lead">What your calls of AI models have used, and what is left of each budget.</p>
      </div>
    </div>
    <section class="card" aria-labelledby="budgets">${await budgets(sources, visitor)}</section>
    <section class="card" aria-labelledby="spent">${spent}</section>
    <section class="card" aria-labelledby="users">
      <h2 class="card-head" id="users">This month by user</h2>
      ${users}
    </section>`;
  return { title: 'Spend', body };
}

/** The days of the tenant from the start of the span until now. */
function daysOf({ startMs, endMs }: Span, calendar: string | null, nowMs: number): readonly Span[] {
  const days: Span[] = [];
  for (let fromMs = startMs; fromMs < Math.min(endMs, nowMs);) {
    const day = { startMs: fromMs, endMs: Math.min(endMs, periodAt('day', calendar, fromMs).endMs) };
    days.push(day);
    fromMs = day.endMs;
  }
  return days;
}

interface Spent {
  readonly byDay: readonly SpendBy[] | null;
  readonly byModel: readonly SpendBy[] | null;
  readonly byRoute: readonly SpendBy[] | null;
}

function spentTables({ byDay, byModel, byRoute }: Spent, policy: Policy, forecast: number | null): Html {
  if (byDay === null || byModel === null || byRoute === null) return failedState('The spend of this month');
  if (byModel.length === 0)
    return emptyState('No spend this month', 'Calls of AI models show here within seconds.');
  const cost = byModel.reduce((sum, one) => sum + one.cost, 0n);
  const calls = byModel.reduce((sum, one) => sum + one.calls, 0);
  return html`<dl class="tiles">
      <div>
        <dt>Spend</dt>
        <dd data-slot="spend">${money(cost, policy.currency)}</dd>
      </div>
      ${
        forecast === null
          ? null
          : html`<div>
              <dt>At the end of the month, at this rate</dt>
              <dd data-slot="forecast">${money(approximateMoney(cost) * forecast, policy.currency)}</dd>
            </div>`
      }
      <div>
        <dt>Calls</dt>
        <dd>${count(calls)}</dd>
      </div>
    </dl>
    <p class="soft small">Calls in progress count with the amounts that they have reserved.</p>
    <section class="table-part">
      <h3>By day</h3>
      ${spendTable('Spend by day', 'Day', byDay.toReversed(), policy)}
    </section>
    <section class="table-part">
      <h3>By model</h3>
      ${spendTable('Spend by model', 'Model', byModel, policy)}
    </section>
    <section class="table-part">
      <h3>By route</h3>
      ${spendTable('Spend by route', 'Route', byRoute, policy)}
    </section>`;
}

function userTable(rows: readonly SpendBy[] | null, policy: Policy): Html {
  if (rows === null) return failedState('The spend by user');
  if (rows.length === 0)
    return emptyState('No spend this month', 'Calls of AI models show here within seconds.');
  return html`${spendTable('Spend by user', 'User', rows, policy)}
  ${rows.length < spendingUsersMax ? null : html`<p class="soft small">The ${spendingUsersMax} users with the highest spend.</p>`}`;
}

/** Shorter parts of a month give no useful forecast. */
const forecastMsMin = 86_400_000;

/** Factor from what was spent so far to the complete period; null at the beginning of the period. */
function forecastOf({ startMs, endMs }: Span, nowMs: number): number | null {
  const elapsedMs = nowMs - startMs;
  return elapsedMs < forecastMsMin ? null : Math.max(1, (endMs - startMs) / elapsedMs);
}

/** Links to the cost of the same days, which the history divides further and writes as CSV. */
function historyLinks({ startMs }: Span, zone: string, nowMs: number): Html {
  const dates = `from=${dateAt(zone, startMs)}&to=${dateAt(zone, nowMs)}`;
  const path = `/history?span=custom&${dates}&metric=cost`;
  return html`<p class="soft small">
    Cost of all requests of this month, as a graph and as CSV: <a href="${path}">by day</a>,
    <a href="${path}&amp;by=user">by user</a>, <a href="${path}&amp;by=route">by route</a>,
    <a href="${path}&amp;by=model">by model</a>.
  </p>`;
}

function spendTable(
  caption: string,
  heading: string,
  rows: readonly SpendBy[],
  { quantities, currency }: Policy,
): Html {
  const amounts = [...quantities.values()]
    .filter(({ kind }) => kind !== 'cost')
    .map(({ name }): Column<SpendBy> => ({
      title: title(name),
      kind: 'number',
      cell: (row) => count(approximateMoney(row.quantities[name] ?? 0n)),
    }));
  const columns: readonly Column<SpendBy>[] = [
    { title: heading, kind: 'head', cell: ({ name }) => (name === '' ? '(none)' : breakable(name)) },
    { title: 'Calls', kind: 'number', cell: ({ calls }) => count(calls) },
    ...amounts,
    { title: 'Spend', kind: 'number', cell: ({ cost }) => money(cost, currency) },
  ];
  return table({ caption, columns, rows, empty: html`` });
}

/** The limits of the tenant that count tokens, money or another quantity, as Redis has them now. */
async function budgets(sources: SpendSources, { tenantId, record, usage }: Visitor): Promise<Html> {
  const { limiter, reads, clock, policy } = sources;
  const nowMs = clock.now();
  const { seenPlan } = await readSeenPlan({ usage, reads }, { tenantId, record }, nowMs);
  const held = limitsOfTenant(policy(), record, seenPlan, nowMs).shared.filter(
    ({ limit }) => limit.of !== requestsName,
  );
  const head = html`<h2 class="card-head" id="budgets">Budgets</h2>`;
  if (held.length === 0)
    return html`${head} ${emptyState('No budget', 'No limit of your plan counts tokens or money.')}`;
  const read = await readLimitStates(limiter, tenantId, record, held);
  if (read === null) {
    reads.countFailure('redis');
    return html`${head} ${failedState('Live usage')}`;
  }
  const amount = (one: LimitState, minor: number | null): string => minorAmountText(policy(), one.of, minor);
  return html`${head}
  ${table({
    caption: 'Budgets',
    rows: read.map(({ state }) => state),
    empty: html``,
    columns: [
      { title: 'Budget', kind: 'head', cell: ({ name }) => title(name) },
      { title: 'Used', kind: 'number', cell: (one) => amount(one, one.use?.used ?? null) },
      { title: 'Reserved', kind: 'number', cell: (one) => amount(one, one.use?.reserved ?? null) },
      { title: 'Left', kind: 'number', cell: (one) => amount(one, one.remaining) },
      { title: 'Limit', kind: 'number', cell: (one) => amount(one, one.limit) },
      {
        title: 'Share',
        kind: 'meter',
        cell: (one) =>
          bar(one.name, one.limit - one.remaining, one.limit, {
            kind: 'thin',
            text: (minor) => amount(one, minor),
          }),
      },
      { title: 'Complete again', kind: 'time', cell: (one) => formatTime(one.resetAtMs) },
    ],
  })}`;
}
