/** The time range and the variables with which a dashboard is opened. */
export interface View {
  readonly fromMs: number;
  readonly toMs: number;
  readonly intervalMs: number;
  readonly variables: Readonly<Record<string, string>>;
}

/** Replaces dashboard variables as Grafana does in the browser. Unknown variables stay, so that the query fails. */
export function interpolate(text: string, { variables, intervalMs }: View): string {
  return text
    .replaceAll('$__rate_interval', `${Math.max(intervalMs / 1000, 20)}s`)
    .replace(
      /\$\{(\w+)(?::(\w+))?\}|\$(?!__)(\w+)/g,
      (whole, braced: string, format: string, bare: string) => {
        const value = variables[braced || bare];
        if (value === undefined) return whole;
        return format === 'singlequote' ? `'${value.replaceAll("'", "\\'")}'` : value;
      },
    );
}

/** Expands the macros of grafana-clickhouse-datasource 4.14 in SQL, as its backend does. */
export function expandMacros(sql: string, { fromMs, toMs, intervalMs }: View): string {
  const time = (ms: number): string => `toDateTime(${Math.floor(ms / 1000)})`;
  const seconds = Math.max(Math.floor(intervalMs / 1000), 1);
  return sql
    .replace(
      /\$__timeFilter\((\w+)\)/g,
      (_, column: string) => `${column} >= ${time(fromMs)} AND ${column} <= ${time(toMs)}`,
    )
    .replace(
      /\$__timeInterval\(([\w.]+)\)/g,
      (_, column: string) => `toStartOfInterval(toDateTime(${column}), INTERVAL ${seconds} second)`,
    )
    .replaceAll('$__fromTime', time(fromMs))
    .replaceAll('$__toTime', time(toMs))
    .replaceAll('$__interval_s', String(seconds));
}
