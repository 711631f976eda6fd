import type { Builder, Dataquery } from '@grafana/grafana-foundation-sdk/cog';
import { DataqueryBuilder } from '@grafana/grafana-foundation-sdk/prometheus';
import { clickhouse, clickhousePluginVersion, prometheus } from './sources.ts';

/** A PromQL range query; `legend` may name labels: `{{service}}`. */
export function promql(expr: string, legend: string): DataqueryBuilder {
  return new DataqueryBuilder().datasource(prometheus).expr(expr).legendFormat(legend).range();
}

/** What grafana-clickhouse-datasource stores for a query written as SQL. The Foundation SDK has no type for it. */
export interface ClickHouseQuery extends Dataquery {
  readonly datasource: typeof clickhouse;
  readonly pluginVersion: string;
  readonly editorType: 'sql';
  readonly queryType: 'table' | 'timeseries';
  /** The plugin's number for the query type: 0 makes series of the rows, 1 leaves a table. */
  readonly format: 0 | 1;
  readonly rawSql: string;
  refId?: string;
}

/** Rows become series: the first column is the time, text columns become labels, the others values. Order by time. */
export function sqlSeries(rawSql: string): Builder<Dataquery> {
  return sql(rawSql, 'timeseries');
}

export function sqlTable(rawSql: string): Builder<Dataquery> {
  return sql(rawSql, 'table');
}

function sql(rawSql: string, queryType: 'table' | 'timeseries'): Builder<Dataquery> {
  const query: Omit<ClickHouseQuery, '_implementsDataqueryVariant'> = {
    datasource: clickhouse,
    pluginVersion: clickhousePluginVersion,
    editorType: 'sql',
    queryType,
    format: queryType === 'timeseries' ? 0 : 1,
    rawSql: rawSql.trim(),
  };
  return { build: () => query as ClickHouseQuery };
}

/** PromQL of a quantile of a histogram over everything selected. */
export function quantile(q: number, histogram: string, selector: string): string {
  return `histogram_quantile(${q}, sum by (le) (rate(${histogram}_bucket{${selector}}[$__rate_interval])))`;
}
