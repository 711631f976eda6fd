import { createClickHouse } from '../../../shared/clickhouse/client.ts';
import type { ClickHouse } from '../../../shared/clickhouse/client.ts';
import { migrate } from '../../../shared/clickhouse/migrate.ts';
import { servers, uniqueNamespace } from '../../support/servers.ts';

/** Creates a migrated database for one test. The test drops the database. */
export async function freshDatabase(): Promise<ClickHouse> {
  const { database } = uniqueNamespace();
  const clickhouse = createClickHouse({ url: servers().clickhouseUrl, database });
  await migrate(clickhouse);
  return clickhouse;
}
