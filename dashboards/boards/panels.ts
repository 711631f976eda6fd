import { RowBuilder } from '@grafana/grafana-foundation-sdk/dashboard';
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
import { mixed } from './sources.ts';
import type { ClassicDashboard } from './sources.ts';

/** Colours of the decisions. All dashboards use the same. */
const decisionColors = {
  allowed: 'green',
  limited: 'red',
  bypassed: 'blue',
  shadow_limited: 'orange',
} as const;

export type Panels = readonly (StatBuilder | TableBuilder | TimeseriesBuilder)[];

/** Adds the sections of a dashboard: a row with the title of each, and its panels below. */
export function withSections(
  builder: ClassicDashboard,
  sections: readonly (readonly [title: string, panels: Panels])[],
): ClassicDashboard {
  for (const [title, panels] of sections) {
    builder.withRow(new RowBuilder(title));
    for (const panel of panels) builder.withPanel(panel);
  }
  return builder;
}

/** Window of `rate()` in panels: at least four scrapes, and longer if the panel shows a longer time range. */
export const rate = '$__rate_interval';

interface Panel {
  readonly title: string;
  /** Description of the panel, shown at its info icon: what the panel shows, and which values are bad. */
  readonly description: string;
  readonly queries: readonly Builder<Dataquery>[];
  /** Grafana's unit id: `reqps`, `s`, `percentunit`, `bytes`, `short`, … */
  readonly unit: string;
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
  /** Text that the panel shows if there is no value. */
  readonly empty?: string;
  /** True if the value is a text. */
  readonly text?: boolean;
}

export function series(panel: SeriesPanel): TimeseriesBuilder {
  const builder = new TimeseriesBuilder()
    .title(panel.title)
    .description(panel.description)
    .datasource(sourceOf(panel.queries))
    .unit(panel.unit)
    .min(0)
    .span(panel.width ?? 12)
    .height(8)
    .lineWidth(1)
    .fillOpacity(panel.stacked === true ? 40 : 8)
    .spanNulls(false)
    .legend(
      new VizLegendOptionsBuilder()
        .showLegend(true)
        .displayMode(LegendDisplayMode.List)
        .placement(LegendPlacement.Bottom)
        .calcs([]),
    )
    .tooltip(new VizTooltipOptionsBuilder().mode(TooltipDisplayMode.Multi).sort(SortOrder.Descending));
  if (panel.stacked === true) {
    builder.stacking(new StackingConfigBuilder().mode(StackingMode.Normal).group('A'));
  }
  if (panel.max !== undefined) builder.max(panel.max);
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
    .title(panel.title)
    .description(panel.description)
    .datasource(sourceOf(panel.queries))
    .unit(panel.unit)
    .span(panel.width ?? 4)
    .height(4)
    .graphMode(BigValueGraphMode.Area)
    .colorMode(BigValueColorMode.Value)
    .reduceOptions(panel.text === true ? reduce.fields('/.*/') : reduce)
    .thresholds(thresholdsOf(panel));
  if (panel.decimals !== undefined) builder.decimals(panel.decimals);
  if (panel.empty !== undefined) builder.noValue(panel.empty);
  for (const query of panel.queries) builder.withTarget(query);
  return builder;
}

/** Format of a column of a table. */
export interface Column {
  readonly unit?: string;
  readonly decimals?: number;
  readonly width?: number;
  /** Shows a bar behind the figure; used for shares. */
  readonly bar?: boolean;
  readonly warnAt?: number;
  readonly badAt?: number;
  readonly link?: { readonly title: string; readonly url: string };
}

export function table(panel: Omit<Panel, 'unit'>, columns: Readonly<Record<string, Column>>): TableBuilder {
  const builder = new TableBuilder()
    .title(panel.title)
    .description(panel.description)
    .datasource(sourceOf(panel.queries))
    .span(panel.width ?? 12)
    .height(9)
    .filterable(true);
  for (const [name, column] of Object.entries(columns)) builder.overrideByName(name, propertiesOf(column));
  for (const query of panel.queries) builder.withTarget(query);
  return builder;
}

function propertiesOf(column: Column): { id: string; value: unknown }[] {
  const properties: { id: string; value: unknown }[] = [];
  if (column.unit !== undefined) properties.push({ id: 'unit', value: column.unit });
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
  lowIsBad = false,
}: {
  readonly warnAt?: number;
  readonly badAt?: number;
  readonly lowIsBad?: boolean;
}): ThresholdsConfigBuilder {
  const steps: { value: number | null; color: string }[] = [
    { value: null, color: lowIsBad && badAt !== undefined ? 'red' : 'green' },
  ];
  if (warnAt !== undefined) steps.push({ value: warnAt, color: 'orange' });
  if (badAt !== undefined) steps.push({ value: badAt, color: lowIsBad ? 'green' : 'red' });
  return new ThresholdsConfigBuilder()
    .mode(ThresholdsMode.Absolute)
    .steps(steps.toSorted((a, b) => (a.value ?? -Infinity) - (b.value ?? -Infinity)));
}

/** The data source that all queries of a panel use; Grafana's mixed data source if they use different ones. */
function sourceOf(queries: readonly Builder<Dataquery>[]): DataSourceRef {
  const sources = queries.map(
    (query) => (query.build() as unknown as { datasource: DataSourceRef }).datasource,
  );
  const [first] = sources;
  return first !== undefined && sources.every((source) => source.uid === first.uid) ? first : mixed;
}
