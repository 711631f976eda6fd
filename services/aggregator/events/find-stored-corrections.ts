import type { ClickHouseReader } from '../../../shared/clickhouse/client.ts';
import type { CorrectionPlace } from './decode.ts';

/** Largest number of corrections in one query. The numbers are part of the SQL text, which is sent in the body. */
const wantedPerQuery = 2_000;

/**
 * Returns the rows of `stored_corrections` that have the partition, time and sequence number of one of these corrections. The
 * partition is the beginning of the primary key, and an index of the times selects the granules. The result also has rows of other
 * spool runs with the same numbers, and may have a row twice.
 */
export async function findStoredCorrections(
  clickhouse: ClickHouseReader,
  wanted: readonly CorrectionPlace[],
): Promise<readonly CorrectionPlace[]> {
  const found: CorrectionPlace[] = [];
  for (let start = 0; start < wanted.length; start += wantedPerQuery) {
    const some = wanted.slice(start, start + wantedPerQuery);
    const rows = await clickhouse.query<CorrectionPlace>(
      `SELECT toUnixTimestamp64Milli(time) AS timeMs, spool, sequence, kafka_partition AS partition, kafka_offset AS offset
      FROM stored_corrections
      WHERE kafka_partition IN (${listOf(some, ({ partition }) => String(partition))})
        AND time IN (${listOf(some, ({ timeMs }) => `fromUnixTimestamp64Milli(${timeMs}, 'UTC')`)})
        AND sequence IN (${listOf(some, ({ sequence }) => String(sequence))})`,
    );
    found.push(...rows);
  }
  return found;
}

function listOf(
  corrections: readonly CorrectionPlace[],
  textOf: (correction: CorrectionPlace) => string,
): string {
  return [...new Set(corrections.map(textOf))].join(',');
}
