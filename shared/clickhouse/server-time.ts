import type { ClockSource } from '../runtime/time/agreed-clock.ts';
import type { ClickHouseReader } from './client.ts';

/** Clock of the ClickHouse server that receives the query. */
export function clickHouseTime(clickhouse: ClickHouseReader): ClockSource {
  return {
    name: 'clickhouse',
    read: async () => {
      const [row] = await clickhouse.query<{ readonly at_ms: number }>(
        'SELECT toUnixTimestamp64Milli(now64(3)) AS at_ms',
      );
      return row?.at_ms ?? Number.NaN;
    },
  };
}
