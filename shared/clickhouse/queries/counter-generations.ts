import type { ClickHouse } from '../client.ts';

/**
 * Stores the highest generation of the counters of each Redis server, by the server's marker key. Each rebuild inserts one row;
 * rebuilds are rare.
 */
export function createGenerations(clickhouse: ClickHouse): {
  read(markerKey: string): Promise<number>;
  write(markerKey: string, generation: number): Promise<void>;
} {
  return {
    async read(markerKey) {
      const rows = await clickhouse.query<{ generation: number }>(
        'SELECT max(generation) AS generation FROM counter_generations WHERE marker_key = {markerKey:String}',
        { markerKey },
      );
      return rows[0]?.generation ?? 0;
    },
    write: (markerKey, generation) =>
      clickhouse.insert('counter_generations', [{ marker_key: markerKey, generation }]),
  };
}
