import { createClickHouse } from '../../../shared/clickhouse/client.ts';
import { clickHouseServer } from '../../../shared/clickhouse/environment.ts';
import { migrate } from '../../../shared/clickhouse/migrate.ts';
import type { Command } from '../command.ts';

/**
 * Runs the migrations, as the aggregator does at its start. With this command an operator runs them before an upgrade,
 * with a user that may change tables.
 */
export const tablesCommand: Command = {
  name: 'tables create',
  synopsis: '',
  summary: 'Create or migrate the ClickHouse tables. Needs CLICKHOUSE_URL. Safe to repeat.',
  operands: [0, 0],
  example: 'tables create',
  async run(invocation) {
    const config = invocation.clickhouse();
    const clickhouse = createClickHouse(clickHouseServer(config));
    try {
      const ran = await migrate(clickhouse, {
        cluster: config.CLICKHOUSE_CLUSTER === '' ? null : config.CLICKHOUSE_CLUSTER,
        rawRetentionDays: config.TOLLGATE_RAW_RETENTION_DAYS,
      });
      const lines = ran.length === 0 ? ['the tables are up to date'] : ran.map((name) => `migrated  ${name}`);
      return { data: { migrated: ran }, text: lines.join('\n') };
    } finally {
      await clickhouse.close();
    }
  },
};
