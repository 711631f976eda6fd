import type {
  HistoryDimension,
  HistoryRow,
} from '../../../../shared/clickhouse/queries/portal/usage-history.ts';
import { historyRowsMax, readsEvents } from '../../../../shared/clickhouse/queries/portal/usage-history.ts';
import { count } from '../../../../shared/domain/text/counted.ts';
import { moneyText } from '../../../../shared/domain/money.ts';
import { formatTime } from '../../../../shared/domain/time/format-time.ts';
import { sendCsv } from '../../browser/csv-file.ts';
import { chart } from '../../components/chart.ts';
import type { ChartSeries } from '../../components/chart.ts';
import { money, percent, share } from '../../components/format.ts';
import { expiredNotice, expiredText, freshnessLine, readFreshness } from '../../components/freshness.ts';
import { breakable, html } from '../../components/html.ts';
import type { Html } from '../../components/html.ts';
import { emptyState, failedState } from '../../components/layout.ts';
import type { PageContent } from '../../components/layout.ts';
import { addressOf, linkWith } from '../../components/links.ts';
import type { Address } from '../../components/links.ts';
import { table } from '../../components/table.ts';
import type { Column, FileColumn } from '../../components/table.ts';
import type { Visit, Visitor } from '../visitor.ts';
import { historyFilter, spanLinks } from './history-filter.ts';
import { cutText, historyFrame, omittedText } from './history-frame.ts';
import type { HistorySources } from './history-frame.ts';
import { addUsage, byInterval, changeText, noUsage, sumsByKey, valueOf } from './history-figures.ts';
import type { HistoryInterval, HistorySums } from './history-figures.ts';
import { previousSeries, seriesByKey } from './key-series.ts';
import { meterContent } from './meter-content.ts';
import { wantedMeter } from './wanted-meter.ts';
import { historyMetrics, wantedHistory } from './wanted-history.ts';
import type { WantedHistory } from './wanted-history.ts';

/** Page of a tenant's usage over time. The address contains all that was chosen. */
export async function historyPage(
  { reads, clock, policy }: HistorySources,
  visitor: Visitor,
  visit: Visit,
): Promise<PageContent | null> {
  const { request, reply, parts } = visit;
  const { tenantId, usage, zone } = visitor;
  const fields = request.query as Record<string, string | undefined>;
  const meter = wantedMeter(fields, policy().meters, zone, clock.now());
  if (meter !== null) return meterContent({ reads, clock, policy }, visitor, visit, meter);
  const wanted = wantedHistory(fields, zone, clock.now());
  const { query, previous, compare } = wanted;
  const address = addressOf(request);
  const { currency } = policy();
  if (fields['format'] === 'csv') {
    const [read, since] = await Promise.all([
      usage.history(tenantId, query),
      readsEvents(query) ? usage.eventsStoredSince(clock.now()) : null,
    ]);
    const rows = read.slice(0, historyRowsMax);
    const remaining = read.length > historyRowsMax ? cutText : null;
    const note = expiredText(query.startMs, since, zone);
    await sendCsv(reply, { name: `usage-${wanted.span}`, columns: csvColumns, rows, remaining, note });
    return null;
  }
  const content = await parts.render('history', 'The history', async () => {
    const ofEvents = [query, ...(compare ? [previous] : [])].filter(readsEvents);
    const [read, before, since, freshness] = await Promise.all([
      reads.orNull(usage.history(tenantId, query)),
      compare ? reads.orNull(usage.history(tenantId, previous)) : null,
      ofEvents.length === 0 ? null : reads.orNull(usage.eventsStoredSince(clock.now())),
      readFreshness({ usage, reads }),
    ]);
    const expired = expiredNotice(Math.min(...ofEvents.map(({ startMs }) => startMs)), since, zone);
    const head = html`<div class="card-head">
      <h2 id="graph">${historyMetrics[wanted.metric]}</h2>
      ${freshnessLine(freshness)}
    </div>`;
    if (read === null) return html`${head} ${failedState('The history')}`;
    const rows = read.slice(0, historyRowsMax);
    if (rows.length === 0)
      return html`${head} ${expired}
      ${emptyState('No requests in this time', 'Choose a longer time, or another filter.')}`;
    const intervals = byInterval(query, rows, before === null ? null : { query: previous, rows: before });
    const cut = read.length > historyRowsMax ? html`<p class="notice bad" role="alert">${cutText}</p>` : null;
    return html`${head} ${cut} ${expired} ${historyChart(wanted, intervals, rows, currency)}
      ${tiles(rows, before, currency)}
      ${breakdown(wanted, { rows, isCut: cut !== null }, { address, currency })}
      <p class="table-foot">
        <span class="soft">Times are in ${zone}.</span>
        <a href="${linkWith(address, { format: 'csv' })}" download>Download as CSV</a>
      </p>`;
  });
  return historyFrame(spanLinks(wanted, address), historyFilter(wanted, policy(), zone), content);
}

function historyChart(
  { metric, by, query, compare }: WantedHistory,
  intervals: readonly HistoryInterval[],
  rows: readonly HistoryRow[],
  currency: string | null,
): Html {
  const text = (value: number | null): string =>
    value === null
      ? '–'
      : metric === 'cost'
        ? money(value, currency)
        : metric === 'latency'
          ? `${count(value)} ms`
          : count(value);
  const series = by === null ? totalSeries(metric, text) : dimensionSeries(metric, by, rows, text);
  const previous = previousSeries<HistoryInterval>((interval) => previousValue(metric, interval), text);
  return chart({
    caption: `${historyMetrics[metric]} over time`,
    rows: intervals,
    atMs: ({ atMs }) => atMs,
    atText: ({ atMs }) => formatTime(atMs, query.zone),
    stepMs: query.stepMs,
    zone: query.zone,
    series: [...series, ...(compare ? [previous] : [])],
  });
}

function previousValue(metric: WantedHistory['metric'], { previous }: HistoryInterval): number | null {
  return previous === undefined ? (metric === 'latency' ? null : 0) : valueOf(metric, previous);
}

type Text = (value: number | null) => string;

function totalSeries(metric: WantedHistory['metric'], text: Text): readonly ChartSeries<HistoryInterval>[] {
  const total = ({ rows }: HistoryInterval): HistoryRow | HistorySums => rows.get('') ?? noUsage;
  const one = (title: string, colour: string, value: (interval: HistoryInterval) => number | null) => ({
    title,
    colour,
    draw: metric === 'latency' ? ('line' as const) : ('stack' as const),
    value,
    text: (interval: HistoryInterval) => text(value(interval)),
  });
  if (metric !== 'requests')
    return [
      one(historyMetrics[metric], metric === 'limited' ? 'limited' : 'allowed', (interval) =>
        valueOf(metric, total(interval)),
      ),
    ];
  return [
    one('Served', 'allowed', (interval) => total(interval).requests - total(interval).limited),
    one('Refused', 'limited', (interval) => total(interval).limited),
  ];
}

function dimensionSeries(
  metric: WantedHistory['metric'],
  by: HistoryDimension,
  rows: readonly HistoryRow[],
  text: Text,
): readonly ChartSeries<HistoryInterval>[] {
  const isAdded = metric !== 'latency';
  return seriesByKey<HistoryInterval>({
    keys: sumsByKey(rows).map(({ key }) => key),
    titleOf: (key) => keyText(by, key),
    value: (interval, key) => {
      const row = interval.rows.get(key);
      return row === undefined ? (isAdded ? 0 : null) : valueOf(metric, row);
    },
    others: isAdded
      ? ({ rows: all }, own) =>
          valueOf(
            metric,
            [...all]
              .filter(([key]) => !own.includes(key))
              .reduce((sum, [, row]) => addUsage(sum, row), noUsage),
          )
      : null,
    text,
  });
}

function tiles(
  rows: readonly HistoryRow[],
  before: readonly HistoryRow[] | null,
  currency: string | null,
): Html {
  const total = rows.reduce<HistorySums>(addUsage, noUsage);
  const earlier = before?.reduce<HistorySums>(addUsage, noUsage) ?? null;
  const figures = [
    [
      'Requests',
      count(total.requests),
      earlier === null ? null : changeText(total.requests, earlier.requests),
    ],
    ['Refused', count(total.limited), earlier === null ? null : changeText(total.limited, earlier.limited)],
    ['Share refused', percent(share(total.limited, total.requests)), null],
    [
      'Server errors',
      count(total.errors),
      earlier === null ? null : changeText(total.errors, earlier.errors),
    ],
    ['Units', count(total.units), null],
    ['Cost', money(total.cost, currency), null],
  ] as const;
  return html`<dl class="tiles">
    ${figures.map(
      ([name, value, difference]) =>
        html`<div>
          <dt>${name}</dt>
          <dd>
            ${value}${difference === null ? null : html` <small class="soft small">${difference}</small>`}
          </dd>
        </div>`,
    )}
  </dl>`;
}

function keyText(by: HistoryDimension, key: string): string {
  if (key === '') return 'none';
  return by === 'route' && key === '*' ? 'no route of its own' : key;
}

const dimensionTitles: Readonly<Record<HistoryDimension, string>> = {
  route: 'Route',
  user: 'User',
  decision: 'Decision',
  model: 'Model',
};
const breakdownMax = 100;

/** Sums by value of the dimension. A value links to its own history. */
function breakdown(
  { by }: WantedHistory,
  { rows, isCut }: { readonly rows: readonly HistoryRow[]; readonly isCut: boolean },
  { address, currency }: { readonly address: Address; readonly currency: string | null },
): Html | null {
  if (by === null) return null;
  type Sum = HistorySums & { readonly key: string };
  const columns: readonly Column<Sum>[] = [
    {
      title: dimensionTitles[by],
      kind: 'head',
      cell: ({ key }) =>
        key === ''
          ? keyText(by, key)
          : html`<a href="${linkWith(address, { [by]: key, by: null })}">${breakable(keyText(by, key))}</a>`,
    },
    { title: 'Requests', kind: 'number', cell: ({ requests }) => count(requests) },
    { title: 'Refused', kind: 'number', cell: ({ limited }) => count(limited) },
    { title: 'Errors', kind: 'number', cell: ({ errors }) => count(errors) },
    { title: 'Units', kind: 'number', cell: ({ units }) => count(units) },
    { title: 'Cost', kind: 'number', cell: ({ cost }) => money(cost, currency) },
  ];
  const sums = sumsByKey(rows);
  return html`<h3>By ${by}</h3>
    ${table({
      ...{ caption: `Usage by ${by}`, columns, rows: sums, empty: html`` },
      first: {
        countMax: breakdownMax,
        sentence: omittedText(sums.length, breakdownMax, isCut ? 'largest of the rows that were read' : null),
      },
    })}`;
}

const csvColumns: readonly FileColumn<HistoryRow>[] = [
  { title: 'from', csv: ({ at_ms: atMs }) => new Date(atMs).toISOString() },
  { title: 'value', csv: ({ key }) => key },
  { title: 'requests', csv: ({ requests }) => requests },
  { title: 'refused', csv: ({ limited }) => limited },
  { title: 'server_errors', csv: ({ errors }) => errors },
  { title: 'units', csv: ({ units }) => units },
  { title: 'cost', csv: ({ cost }) => moneyText(cost) },
  { title: 'latency_p95_ms', csv: ({ latency_p95: latency }) => latency },
];
