import type { Builder, Dataquery } from '@grafana/grafana-foundation-sdk/cog';
import { DataqueryBuilder, PromQueryFormat } from '@grafana/grafana-foundation-sdk/prometheus';
import { clickhouse, clickhousePluginVersion, prometheus } from './sources.ts';

/** A PromQL range query; `legend` may contain labels: `{{service}}`. */
export function promql(expr: string, legend: string): DataqueryBuilder {
  return new DataqueryBuilder().datasource(prometheus).expr(expr).legendFormat(legend).range();
}

/** A PromQL query for a table: the latest value of each series, with its labels as columns. */
export function promTable(expr: string): DataqueryBuilder {
  return new DataqueryBuilder().datasource(prometheus).expr(expr).format(PromQueryFormat.Table).instant();
}

/** A SQL query in the format of grafana-clickhouse-datasource. The Foundation SDK has no type for it. */
export interface ClickHouseQuery extends Dataquery {
  readonly datasource: typeof clickhouse;
  readonly pluginVersion: string;
  readonly editorType: 'sql';
  readonly queryType: 'table' | 'timeseries';
  /** Number of the query type in the plugin: 0 for time series, 1 for a table. */
  readonly format: 0 | 1;
  readonly rawSql: string;
  refId?: string;
}

/**
 * A SQL query whose rows become time series. The first column is the time, text columns become labels, and other
 * columns are values. Rows must be ordered by time.
 */
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

/** PromQL of a quantile over all selected series of a histogram. */
export function quantile(q: number, histogram: string, selector: string): string {
  return `histogram_quantile(${q}, sum by (le) (rate(${histogram}_bucket{${selector}}[$__rate_interval])))`;
}
