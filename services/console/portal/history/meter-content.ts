import type { MeterRow } from '../../../../shared/clickhouse/queries/meters.ts';
import { moneyText } from '../../../../shared/domain/money.ts';
import { dateAt } from '../../../../shared/domain/time/calendar.ts';
import { formatTime } from '../../../../shared/domain/time/format-time.ts';
import type { Policy } from '../../../../shared/domain/policy.ts';
import { sendCsv } from '../../browser/csv-file.ts';
import { chart } from '../../components/chart.ts';
import type { ChartSeries } from '../../components/chart.ts';
import { decimal, money, title } from '../../components/format.ts';
import { expiredNotice, expiredText, freshnessLine } from '../../components/freshness.ts';
import { breakable, html } from '../../components/html.ts';
import type { Html } from '../../components/html.ts';
import { emptyState, failedState } from '../../components/layout.ts';
import type { PageContent } from '../../components/layout.ts';
import { addressOf, linkWith } from '../../components/links.ts';
import type { Address } from '../../components/links.ts';
import { table } from '../../components/table.ts';
import type { FileColumn } from '../../components/table.ts';
import type { Visit, Visitor } from '../visitor.ts';
import { changeText } from './history-figures.ts';
import { meterFilter, spanLinks } from './history-filter.ts';
import { cutText, historyFrame, omittedText } from './history-frame.ts';
import type { HistorySources } from './history-frame.ts';
import { previousSeries, seriesByKey } from './key-series.ts';
import { groupsMax, isAdded, keyOf, readMeterHistory, sumOf } from './meter-figures.ts';
import type { MeterHistory, MeterInterval, MeterValue } from './meter-figures.ts';
import { groupFilter, meterMetric, stepsMs } from './wanted-meter.ts';
import type { WantedMeter } from './wanted-meter.ts';

/** The history of a meter of the policy: its values over time, divided by one of its groups. */
export async function meterContent(
  { reads, clock, policy }: HistorySources,
  { tenantId, usage, zone }: Visitor,
  { request, reply, parts }: Visit,
  wanted: WantedMeter,
): Promise<PageContent | null> {
  const { definition, query, compare, previous } = wanted;
  const address = addressOf(request);
  if ((request.query as { format?: string }).format === 'csv') {
    const [{ rows, cut }, since] = await Promise.all([
      usage.meter(definition, { ...query, tenantId }),
      usage.eventsStoredSince(clock.now()),
    ]);
    const note = expiredText(query.fromMs, since, zone);
    const name = `${definition.name}-${wanted.span}`;
    await sendCsv(reply, { name, columns: fileColumns(wanted), rows, remaining: cut ? cutText : null, note });
    return null;
  }
  const content = await parts.render('history', 'The history', async () => {
    const [history, since] = await Promise.all([
      reads.orNull(readMeterHistory(usage, tenantId, wanted)),
      reads.orNull(usage.eventsStoredSince(clock.now())),
    ]);
    if (history === null)
      return html`<h2 id="graph">${title(definition.name)}</h2>
        ${failedState('The history')}`;
    const expired = expiredNotice(compare ? previous.fromMs : query.fromMs, since, zone);
    return html`${figures(wanted, history, expired, { address, currency: policy().currency })}
      <p class="table-foot">
        <span class="soft">Times are in ${zone}. ${sourceText(since, zone)}</span>
        <a href="${linkWith(address, { format: 'csv' })}" download>Download as CSV</a>
      </p>`;
  });
  return historyFrame(spanLinks(wanted, address), meterFilter(wanted, policy(), zone), content);
}

function sourceText(sinceMs: number | null, zone: string): string {
  const stored = sinceMs === null ? '' : `, which are stored since ${dateAt(zone, sinceMs)}`;
  return `Meters are computed from single events${stored}.`;
}

function figures(
  wanted: WantedMeter,
  history: MeterHistory,
  expired: Html | null,
  { address, currency }: { readonly address: Address; readonly currency: string | null },
): Html {
  const { definition, by } = wanted;
  const { result, total, before } = history;
  const isMoney = definition.value === 'cost' && definition.aggregation !== 'unique';
  const text = valueText(isMoney ? currency : undefined);
  const difference =
    typeof total === 'number' && typeof before === 'number' ? changeText(total, before) : null;
  return html`<div class="card-head">
      <h2 id="graph">${title(definition.name)}</h2>
      ${freshnessLine({ complete_through: result.complete_through, freshness_known: true })}
    </div>
    ${expired}
    ${
      result.rows.length === 0
        ? emptyState('No events in this time', 'Choose a longer time, or another filter.')
        : html`${meterChart(wanted, history, text)}
            <dl class="tiles">
              <div>
                <dt>${aggregationText(wanted)}</dt>
                <dd data-slot="total">
                  ${text(total)}${difference === null ? null : html` <small class="soft small">${difference}</small>`}
                </dd>
              </div>
            </dl>
            ${by === null ? null : groupTable(wanted, by, history, address, text)}`
    }`;
}

/** `Sum of tokens`. */
function aggregationText({ definition: { aggregation, value } }: WantedMeter): string {
  return value === null
    ? 'Events'
    : title(`${aggregation === 'unique' ? 'distinct' : aggregation} of ${value}`);
}

type Text = (value: MeterValue) => string;

/** Undefined: the value is not money. Null: the currency is unknown. */
function valueText(currency: Policy['currency'] | undefined): Text {
  return (value) => (value === null ? '–' : currency === undefined ? decimal(value) : money(value, currency));
}

function meterChart(wanted: WantedMeter, { intervals, groups, groupsCut }: MeterHistory, text: Text): Html {
  const { definition, by, query, compare } = wanted;
  const none = isAdded(wanted) ? 0 : null;
  const value = ({ values }: MeterInterval): MeterValue => values.get('') ?? none;
  const whole: ChartSeries<MeterInterval> = {
    ...{ title: title(definition.name), colour: 'allowed', draw: isAdded(wanted) ? 'stack' : 'line', value },
    text: (interval) => text(value(interval)),
  };
  const divided = seriesByKey<MeterInterval>({
    keys: groups.map(({ key }) => key),
    keysCut: groupsCut,
    titleOf: groupText,
    value: ({ values }, key) => values.get(key) ?? none,
    others: isAdded(wanted) ? othersOf : null,
    text,
  });
  const previous = previousSeries<MeterInterval>(({ previous: before }) => before ?? none, text);
  return chart({
    caption: `${title(definition.name)} over time`,
    rows: intervals,
    atMs: ({ atMs }) => atMs,
    atText: ({ atMs }) => formatTime(atMs, query.timeZone),
    stepMs: stepsMs[query.window],
    zone: query.timeZone,
    series: [...(by === null ? [whole] : divided), ...(compare ? [previous] : [])],
  });
}

/** Sum of the groups without a series of their own. */
function othersOf({ values, whole }: MeterInterval, own: readonly string[]): MeterValue {
  const sum = (isOwn: boolean): number =>
    sumOf([0, ...[...values].filter(([key]) => own.includes(key) === isOwn).map(([, one]) => one)]) ?? 0;
  return whole === undefined ? sum(false) : (whole ?? 0) - sum(true);
}

function groupText(key: string): string {
  return key === '' ? 'none' : key;
}

/** Values by group over the whole span. A group links to its own history. */
function groupTable(
  { definition }: WantedMeter,
  by: string,
  { groups, groupsCut }: MeterHistory,
  address: Address,
  text: Text,
): Html {
  const metric = meterMetric(definition.name);
  return html`<h3>By ${by}</h3>
    ${table<MeterHistory['groups'][number]>({
      caption: `${title(definition.name)} by ${by}`,
      rows: groups,
      first: {
        countMax: groupsMax,
        sentence: omittedText(groups.length, groupsMax, groupsCut ? 'largest' : null),
      },
      empty: html``,
      columns: [
        {
          title: title(by),
          kind: 'head',
          cell: ({ key }) =>
            key === ''
              ? groupText(key)
              : html`<a href="${linkWith(address, { metric, [groupFilter(by)]: key, by: null })}"
                  >${breakable(key)}</a
                >`,
        },
        { title: title(definition.name), kind: 'number', cell: ({ value }) => text(value) },
      ],
    })}`;
}

function fileColumns({ definition, by }: WantedMeter): readonly FileColumn<MeterRow>[] {
  return [
    { title: 'from', csv: ({ window_start: start }) => start },
    ...(by === null ? [] : [{ title: by, csv: keyOf }]),
    {
      title: definition.name,
      csv: ({ value }) => (typeof value === 'bigint' ? moneyText(value) : value),
    },
  ];
}
