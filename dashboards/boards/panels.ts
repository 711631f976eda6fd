import {
  DashboardLinkBuilder,
  DashboardLinkType,
  RowBuilder,
} from '@grafana/grafana-foundation-sdk/dashboard';
import type { Builder, Dataquery } from '@grafana/grafana-foundation-sdk/cog';
import {
  BigValueColorMode,
  BigValueGraphMode,
  GraphThresholdsStyleMode,
  LegendDisplayMode,
  LegendPlacement,
  SortOrder,
  StackingMode,
  TooltipDisplayMode,
} from '@grafana/grafana-foundation-sdk/common';
import {
  GraphThresholdsStyleConfigBuilder,
  ReduceDataOptionsBuilder,
  StackingConfigBuilder,
  VizLegendOptionsBuilder,
  VizTooltipOptionsBuilder,
} from '@grafana/grafana-foundation-sdk/common';
import type { DataSourceRef } from '@grafana/grafana-foundation-sdk/common';
import { ThresholdsConfigBuilder, ThresholdsMode } from '@grafana/grafana-foundation-sdk/dashboard';
import { PanelBuilder as StatBuilder } from '@grafana/grafana-foundation-sdk/stat';
import { PanelBuilder as TableBuilder } from '@grafana/grafana-foundation-sdk/table';
import { PanelBuilder as TimeseriesBuilder } from '@grafana/grafana-foundation-sdk/timeseries';
import { moneyUnit, unitId, withCurrency } from './money.ts';
import { mixed, runbookUid } from './sources.ts';
import type { ClassicDashboard } from './sources.ts';

/** Colours of the decisions. All dashboards use the same. */
const decisionColors = {
  allowed: 'green',
  limited: 'red',
  bypassed: 'blue',
  shadow_limited: 'orange',
} as const;

export type Panels = readonly (StatBuilder | TableBuilder | TimeseriesBuilder)[];

/** A row of a dashboard with its panels. */
export interface Section {
  readonly title: string;
  /** Name of the runbook to which the panels link, except panels with a runbook of their own. */
  readonly runbook: string;
  readonly panels: Panels;
  /** True if the panels are hidden until the row is opened. */
  readonly collapsed?: boolean;
}

/** Adds the sections of a dashboard. */
export function withSections(builder: ClassicDashboard, sections: readonly Section[]): ClassicDashboard {
  for (const { title, runbook, panels, collapsed = false } of sections) {
    const row = new RowBuilder(title).collapsed(collapsed);
    for (const panel of panels) {
      if ((panel.build().links ?? []).length === 0) panel.links([runbookLink(runbook)]);
      if (collapsed) row.withPanel(panel);
    }
    builder.withRow(row);
    if (!collapsed) for (const panel of panels) builder.withPanel(panel);
  }
  return builder;
}

function runbookLink(name: string): DashboardLinkBuilder {
  return new DashboardLinkBuilder('Runbook')
    .type(DashboardLinkType.Link)
    .url(`/d/${runbookUid(name)}`)
    .targetBlank(true);
}

/** Least width of a column of a table in pixels. */
const columnWidthMin = 60;

/** Window of `rate()` in panels: at least four scrapes, and longer if the panel shows a longer time range. */
export const rate = '$__rate_interval';

interface Panel {
  readonly title: string;
  /** Description of the panel, shown at its info icon: what the panel shows, and which values are bad. */
  readonly description: string;
  readonly queries: readonly Builder<Dataquery>[];
  /** Grafana's unit id (`reqps`, `s`, `percentunit`, `bytes`, `short`, …), or `moneyUnit`. */
  readonly unit: string;
  /** Text that the panel shows if it has no data: why. */
  readonly empty?: string;
  /** Name of a runbook, if it is not the runbook of the section. */
  readonly runbook?: string;
  readonly warnAt?: number;
  readonly badAt?: number;
  /** Width of the panel in columns; a row has 24. */
  readonly width?: number;
}

export interface SeriesPanel extends Panel {
  readonly stacked?: boolean;
  readonly max?: number;
  readonly logarithmic?: boolean;
}

export interface StatPanel extends Panel {
  /** True if values below `badAt` are bad; otherwise values above it. */
  readonly lowIsBad?: boolean;
  readonly decimals?: number;
  /** The value from which on the figure is green, and grey below; for figures that are never bad. */
  readonly goodFrom?: number;
  /** True if the value is a text. */
  readonly text?: boolean;
}

export function series(panel: SeriesPanel): TimeseriesBuilder {
  const builder = new TimeseriesBuilder()
    .title(withCurrency(panel.title, panel.unit))
    .description(panel.description)
    .datasource(sourceOf(panel.queries))
    .unit(unitId(panel.unit))
    .min(0)
    // With a soft maximum, a line of zeros is drawn at the bottom of a small scale, not of 0 to 100.
    .axisSoftMax(softMaxOf(panel.unit))
    .noValue(emptyText(panel))
    .span(panel.width ?? 12)
    .height(8)
    .lineWidth(1)
    .fillOpacity(panel.stacked === true ? 40 : 8)
    .spanNulls(false)
    .legend(legendOf(panel.queries))
    .tooltip(new VizTooltipOptionsBuilder().mode(TooltipDisplayMode.Multi).sort(SortOrder.Descending));
  if (panel.stacked === true) {
    builder.stacking(new StackingConfigBuilder().mode(StackingMode.Normal).group('A'));
  }
  if (panel.max !== undefined) builder.max(panel.max);
  if (panel.runbook !== undefined) builder.links([runbookLink(panel.runbook)]);
  if (panel.warnAt !== undefined || panel.badAt !== undefined) {
    builder
      .thresholds(thresholdsOf(panel))
      .thresholdsStyle(new GraphThresholdsStyleConfigBuilder().mode(GraphThresholdsStyleMode.Dashed));
  }
  for (const [decision, color] of Object.entries(decisionColors)) {
    builder.overrideByName(decision, [{ id: 'color', value: { mode: 'fixed', fixedColor: color } }]);
  }
  for (const query of panel.queries) builder.withTarget(query);
  return builder;
}

export function stat(panel: StatPanel): StatBuilder {
  const reduce = new ReduceDataOptionsBuilder().calcs(['lastNotNull']).values(false);
  const builder = new StatBuilder()
    .title(withCurrency(panel.title, panel.unit))
    .description(panel.description)
    .datasource(sourceOf(panel.queries))
    .unit(unitId(panel.unit))
    .span(panel.width ?? 4)
    .height(4)
    .graphMode(BigValueGraphMode.Area)
    .colorMode(BigValueColorMode.Value)
    .reduceOptions(panel.text === true ? reduce.fields('/.*/') : reduce)
    .thresholds(thresholdsOf(panel));
  if (panel.decimals !== undefined) builder.decimals(panel.decimals);
  builder.noValue(emptyText(panel));
  if (panel.runbook !== undefined) builder.links([runbookLink(panel.runbook)]);
  for (const query of panel.queries) builder.withTarget(query);
  return builder;
}

/** Format of a column of a table. */
export interface Column {
  readonly heading: string;
  readonly unit?: string;
  readonly decimals?: number;
  readonly width?: number;
  /** Shows a bar behind the figure; used for shares. */
  readonly bar?: boolean;
  readonly warnAt?: number;
  readonly badAt?: number;
  readonly link?: { readonly title: string; readonly url: string };
}

/** @param columns all columns of the query, in their order. */
export function table(panel: Omit<Panel, 'unit'>, columns: Readonly<Record<string, Column>>): TableBuilder {
  const builder = new TableBuilder()
    .title(panel.title)
    .description(panel.description)
    .datasource(sourceOf(panel.queries))
    .span(panel.width ?? 12)
    .height(9)
    .minWidth(columnWidthMin)
    .noValue(emptyText(panel))
    .filterable(true);
  if (panel.runbook !== undefined) builder.links([runbookLink(panel.runbook)]);
  if (panel.queries.some((query) => 'expr' in query.build())) {
    const indexByName = Object.fromEntries(Object.keys(columns).map((name, index) => [name, index]));
    builder.withTransformation({
      id: 'organize',
      options: { excludeByName: { Time: true }, indexByName, renameByName: {} },
    });
  }
  for (const [name, column] of Object.entries(columns)) builder.overrideByName(name, propertiesOf(column));
  for (const query of panel.queries) builder.withTarget(query);
  return builder;
}

function propertiesOf(column: Column): { id: string; value: unknown }[] {
  const properties: { id: string; value: unknown }[] = [
    { id: 'displayName', value: withCurrency(column.heading, column.unit) },
  ];
  if (column.unit !== undefined) properties.push({ id: 'unit', value: unitId(column.unit) });
  if (column.decimals !== undefined) properties.push({ id: 'decimals', value: column.decimals });
  if (column.width !== undefined) properties.push({ id: 'custom.width', value: column.width });
  if (column.warnAt !== undefined || column.badAt !== undefined) {
    properties.push(
      { id: 'thresholds', value: thresholdsOf(column).build() },
      { id: 'color', value: { mode: 'thresholds' } },
    );
  }
  if (column.bar === true) {
    properties.push(
      { id: 'custom.cellOptions', value: { type: 'gauge', mode: 'basic', valueDisplayMode: 'text' } },
      { id: 'min', value: 0 },
      { id: 'max', value: 1 },
    );
  } else if (column.warnAt !== undefined || column.badAt !== undefined) {
    properties.push({ id: 'custom.cellOptions', value: { type: 'color-text' } });
  }
  if (column.link !== undefined) properties.push({ id: 'links', value: [column.link] });
  return properties;
}

function thresholdsOf({
  warnAt,
  badAt,
  goodFrom,
  lowIsBad = false,
}: {
  readonly warnAt?: number;
  readonly badAt?: number;
  readonly goodFrom?: number;
  readonly lowIsBad?: boolean;
}): ThresholdsConfigBuilder {
  const lowest = lowIsBad && badAt !== undefined ? 'red' : goodFrom === undefined ? 'green' : 'text';
  const steps: { value: number | null; color: string }[] = [{ value: null, color: lowest }];
  if (goodFrom !== undefined) steps.push({ value: goodFrom, color: 'green' });
  if (warnAt !== undefined) steps.push({ value: warnAt, color: 'orange' });
  if (badAt !== undefined) steps.push({ value: badAt, color: lowIsBad ? 'green' : 'red' });
  return new ThresholdsConfigBuilder()
    .mode(ThresholdsMode.Absolute)
    .steps(steps.toSorted((a, b) => (a.value ?? -Infinity) - (b.value ?? -Infinity)));
}

/**
 * A legend of names, or a table with the last and the largest value of each series where a query returns a series for
 * each value of a label.
 */
function legendOf(queries: readonly Builder<Dataquery>[]): VizLegendOptionsBuilder {
  const built = queries.map((query) => query.build() as { legendFormat?: string; rawSql?: string });
  const isList =
    queries.length <= 4 &&
    built.every(({ legendFormat = '', rawSql = '' }) => !/\{\{|GROUP BY time, /.test(legendFormat + rawSql));
  const legend = new VizLegendOptionsBuilder().showLegend(true).placement(LegendPlacement.Bottom);
  return isList
    ? legend.displayMode(LegendDisplayMode.List).calcs([])
    : legend.displayMode(LegendDisplayMode.Table).calcs(['lastNotNull', 'max']);
}

/** Largest value of the scale of a panel whose values are all 0, by unit. */
function softMaxOf(unit: string): number {
  return { s: 0.001, percentunit: 0.01, bytes: 1024, [moneyUnit]: 0.01 }[unit] ?? 1;
}

function emptyText({ empty, queries }: Pick<Panel, 'empty' | 'queries'>): string {
  if (empty !== undefined) return empty;
  return queries.some((query) => 'rawSql' in query.build())
    ? 'No usage in this time range'
    : 'No samples in this time range: see “Services up” on Fleet';
}

/** The data source that all queries of a panel use; Grafana's mixed data source if they use different ones. */
function sourceOf(queries: readonly Builder<Dataquery>[]): DataSourceRef {
  const sources = queries.map(
    (query) => (query.build() as unknown as { datasource: DataSourceRef }).datasource,
  );
  const [first] = sources;
  return first !== undefined && sources.every((source) => source.uid === first.uid) ? first : mixed;
}
