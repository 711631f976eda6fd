import { startClickHouseServer } from '../../dev/servers/clickhouse.ts';
import { freePort } from '../../dev/servers/free-port.ts';
import type { ClickHouse } from '../../shared/clickhouse/client.ts';
import type { Bench } from './bench.ts';
import { fill, openDatabase, tenants } from './storage/history.ts';

/** Bytes of an event on the disk of ClickHouse. */
export const bench: Bench = {
  name: 'event-bytes',
  title: 'Events on disk',
  isPartOfTable: true,
  async run({ dir, quick, say, record }) {
    const server = await startClickHouseServer({ dir, port: await freePort(), say });
    const clickhouse = await openDatabase(server.url, 'dense');
    try {
      const rows = quick ? 500_000 : 3_000_000;
      await fill(clickhouse, rows, 0.5, say);
      await clickhouse.command('OPTIMIZE TABLE stored_events FINAL');
      const { total, columns } = await bytesOf(clickhouse);
      record('clickhouseBytes', total / rows);
      return (
        `${rows.toLocaleString('en')} events at 2,000 a second of ${tenants} tenants (a few heavy, most light), merged: ` +
        `**${(total / rows).toFixed(1)} bytes an event** on disk. The largest columns: ` +
        `${columns.map(({ name, bytes }) => `${name} ${(bytes / rows).toFixed(2)}`).join(', ')}.`
      );
    } finally {
      await clickhouse.close();
      await server.stop();
    }
  },
};

async function bytesOf(
  clickhouse: ClickHouse,
): Promise<{ total: number; columns: { name: string; bytes: number }[] }> {
  const [sum] = await clickhouse.query<{ bytes: number }>(
    `SELECT sum(bytes_on_disk) AS bytes FROM system.parts
    WHERE active AND database = currentDatabase() AND table = 'stored_events'`,
  );
  const columns = await clickhouse.query<{ name: string; bytes: number }>(
    `SELECT name, data_compressed_bytes AS bytes FROM system.columns
    WHERE database = currentDatabase() AND table = 'stored_events' ORDER BY bytes DESC LIMIT 8`,
  );
  return { total: sum?.bytes ?? NaN, columns };
}
