import type { ClickHouse } from '../clickhouse/client.ts';
import type { ConsumedRange } from '../kafka/offsets/consumed-window.ts';

/**
 * Time of the first record of a topic that was deleted and created again, by partition. Rows that were stored before
 * this time belong to the earlier topic with the same name. The records of the earlier topic are deleted, so they can
 * no longer explain missing rows.
 */
export type Recreations = ReadonlyMap<number, number>;

export async function findRecreations(
  clickhouse: ClickHouse,
  window: readonly ConsumedRange[],
  timeFromMs: number,
): Promise<Recreations> {
  const young = window.filter(({ bornMs }) => bornMs > 0);
  if (young.length === 0) return new Map();
  const rows = await clickhouse.query<{ partition: number }>(
    `SELECT kafka_partition AS partition FROM stored_events
    WHERE time >= fromUnixTimestamp64Milli({timeFrom:Int64}, 'UTC') AND has({partitions:Array(UInt16)}, kafka_partition)
    GROUP BY partition
    HAVING toUnixTimestamp64Milli(min(ingested_at)) < {births:Array(Int64)}[indexOf({partitions:Array(UInt16)}, partition)]`,
    {
      timeFrom: timeFromMs,
      partitions: young.map(({ partition }) => partition),
      births: young.map(({ bornMs }) => bornMs),
    },
  );
  const earlier = new Set(rows.map(({ partition }) => partition));
  return new Map(
    young.flatMap(({ partition, bornMs }) => (earlier.has(partition) ? [[partition, bornMs] as const] : [])),
  );
}
