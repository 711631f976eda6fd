import { createClickHouse } from '../../../shared/clickhouse/client.ts';
import type { ClickHouse } from '../../../shared/clickhouse/client.ts';
import { migrate } from '../../../shared/clickhouse/migrate.ts';
import { servers, uniqueNamespace } from '../../support/servers.ts';

/** Units a tenant consumed in the minute that holds `atMs`, as the aggregator would have derived them. */
export interface Used {
  readonly tenantId: string;
  readonly units: number;
  readonly atMs: number;
  readonly plan?: string;
  readonly route?: string;
  readonly decision?: string;
}

/** A migrated database of one test. */
export async function freshDatabase(): Promise<ClickHouse> {
  const { database } = uniqueNamespace();
  const clickhouse = createClickHouse({ url: servers().clickhouseUrl, database });
  await migrate(clickhouse);
  return clickhouse;
}

/** Writes the events, and the totals of their minutes and hours. Each call is for minutes that no other call names. */
export async function storeUsage(clickhouse: ClickHouse, used: readonly Used[]): Promise<void> {
  const rows = used.map(({ tenantId, units, atMs, plan = 'free', route = '*', decision = 'allowed' }) => ({
    tenantId,
    atMs,
    cell: { tenant_id: tenantId, plan, route, type: 'tollgate.request.v1', decision, units },
  }));
  const second = (ms: number, spanMs: number) => Math.floor(Math.floor(ms / spanMs) * spanMs) / 1000;
  await clickhouse.insert(
    'stored_events',
    rows.map(({ cell, atMs }, index) => ({
      ...cell,
      time: new Date(atMs).toISOString(),
      id_a: index % 65_536,
      id_b: index,
    })),
  );
  await clickhouse.insert(
    'stored_minutes',
    rows.map(({ cell, atMs }) => ({
      ...cell,
      minute: second(atMs, 60_000),
      requests: cell.units,
      version: 1,
    })),
  );
  const hours = new Map<string, { atMs: number; units: number; cell: (typeof rows)[number]['cell'] }>();
  for (const { cell, atMs } of rows) {
    const key = JSON.stringify([{ ...cell, units: 0 }, second(atMs, 3_600_000)]);
    hours.set(key, { atMs, cell, units: (hours.get(key)?.units ?? 0) + cell.units });
  }
  await clickhouse.insert(
    'stored_hours',
    [...hours.values()].map(({ cell, atMs, units }) => ({
      ...cell,
      units,
      hour: second(atMs, 3_600_000),
      requests: units,
      version: 1,
    })),
  );
}
