import type { ClickHouse } from '../../../shared/clickhouse/client.ts';
import { deriveTotalsBetween } from '../../../shared/clickhouse/derive-totals.ts';
import { alertsSql, auditSql, eventsSql, totalsSql } from './fill-sql.ts';

export interface Extent {
  readonly tenants: number;
  /** Days with totals, today included. */
  readonly days: number;
  /** Hours before now of which there are single events. */
  readonly eventHours: number;
  readonly events: number;
}

const hourMs = 3_600_000;
const dayMs = 24 * hourMs;
/** Totals of minutes exist from this many days before today on. The pages read none that are older. */
const minuteDays = 2;

/**
 * Fills an empty database: totals of hours of all days, totals of minutes of the last days, and events of the last hours. What lies
 * above a level is derived from it by the statements of the aggregator, so all levels agree.
 */
export async function fillTotals(
  clickhouse: ClickHouse,
  { tenants, days, eventHours, events }: Extent,
  nowMs: number,
  { revision, say }: { readonly revision: string; readonly say: (line: string) => void },
): Promise<void> {
  const todayMs = Math.floor(nowMs / dayMs) * dayMs;
  const eventsFromMs = Math.floor(nowMs / hourMs) * hourMs - (eventHours - 1) * hourMs;
  const minutesFromMs = Math.min(todayMs - minuteDays * dayMs, Math.floor(eventsFromMs / dayMs) * dayMs);
  const perHour = events / ((nowMs - eventsFromMs) / hourMs);
  const insert = (table: 'stored_minutes' | 'stored_hours', fromMs: number, toMs: number): Promise<void> => {
    const [time, lengthMs] =
      table === 'stored_hours' ? (['hour', hourMs] as const) : (['minute', 60_000] as const);
    const intervals = Math.round((toMs - fromMs) / lengthMs);
    const params = { tenants, perHour, from: fromMs / 1000, length: lengthMs / 1000, intervals };
    return clickhouse.command(totalsSql(table, time), params);
  };
  const firstMs = todayMs - (days - 1) * dayMs;
  for (let fromMs = firstMs; fromMs < minutesFromMs; fromMs += 10 * dayMs)
    await insert('stored_hours', fromMs, Math.min(fromMs + 10 * dayMs, minutesFromMs));
  say('  totals of hours inserted');
  for (let fromMs = minutesFromMs; fromMs < eventsFromMs; fromMs += dayMs / 2)
    await insert('stored_minutes', fromMs, Math.min(fromMs + dayMs / 2, eventsFromMs));
  say('  totals of minutes inserted');
  await clickhouse.command(eventsSql, { tenants, events, fromMs: eventsFromMs, toMs: nowMs, revision });
  say('  events inserted');
  for (let fromMs = firstMs; fromMs < todayMs + dayMs; fromMs += 10 * dayMs)
    await deriveTotalsBetween(clickhouse, fromMs, Math.min(fromMs + 10 * dayMs, todayMs + dayMs));
  say('  totals derived');
  await clickhouse.command(alertsSql, { tenants, nowMs });
  await clickhouse.command(auditSql, { tenants, nowMs });
}

/** Rows of the tables, for the report. */
export async function rowsOfTables(clickhouse: ClickHouse): Promise<ReadonlyMap<string, number>> {
  const rows = await clickhouse.query<{ name: string; count: number }>(
    `SELECT table AS name, sum(rows) AS count FROM system.parts
    WHERE active AND database = currentDatabase() GROUP BY table`,
  );
  return new Map(rows.map(({ name, count }) => [name, count]));
}
