import type { ClickHouse } from '../client.ts';
import { requestEventType } from '../../domain/usage-event.ts';

/** A range of missing numbers, from `from` to `to`, both included. */
export interface MissingRange {
  readonly from: number;
  readonly to: number;
}

/** The stored numbers of one series (a Kafka partition or a spool run). Numbers are read in buckets of `bucketNumbers`. */
export interface SeriesNumbers {
  readonly series: string;
  readonly node: string;
  readonly lowest: number;
  /** First number of the first bucket that has a row. */
  readonly bucketsFrom: number;
  /** End of the last bucket that has a row (excluded). */
  readonly bucketsTo: number;
  /** Highest number of the events that were stored before `settledMs`; 0 if there is none. */
  readonly settled: number;
  /**
   * Ranges of missing numbers between `bucketsFrom` and `bucketsTo`, in order. A range ends at the end of its bucket, so two
   * ranges may adjoin.
   */
  readonly gaps: readonly MissingRange[];
}

export interface NumbersQuery {
  /**
   * `offset`: Kafka offsets, one series for each partition. `sequence`: sequence numbers, one series for each run id of a spool,
   * or for each node if events have no run id.
   */
  readonly kind: 'offset' | 'sequence';
  /** First Kafka offset by partition: only rows with this offset or a higher one are read. */
  readonly fromOffsets: ReadonlyMap<number, number>;
  /** Unix milliseconds by partition: only rows stored at this time or later are read. Absent: all rows. */
  readonly storedFromMs?: ReadonlyMap<number, number>;
  /**
   * Unix milliseconds: only events with this time or a later one are read, so that ClickHouse reads few partitions. 0: all
   * events.
   */
  readonly timeFromMs: number;
  /** Series to read; null: all series. */
  readonly series: readonly string[] | null;
  readonly settledMs: number;
}

/**
 * Number of sequence numbers or offsets in one bucket. ClickHouse computes the gaps of a bucket with a bitmap of one bit per
 * number.
 */
export const bucketNumbers = 65_536;

/**
 * Returns which numbers of each series are stored and which are missing between them. Reads the stored tables and not the view,
 * because voided events and corrections have numbers too. Rows that are stored twice do not change the result.
 */
export async function storedNumbers(clickhouse: ClickHouse, query: NumbersQuery): Promise<SeriesNumbers[]> {
  const { kind, fromOffsets, storedFromMs, timeFromMs, series, settledMs } = query;
  const isOffset = kind === 'offset';
  const rows = await clickhouse.query<BucketRow>(
    `SELECT ${isOffset ? 'toString(kafka_partition)' : "if(spool != '', toString(spool), toString(node))"} AS series,
        max(${isOffset ? "''" : 'toString(node)'}) AS owner,
        intDiv(${isOffset ? 'kafka_offset' : 'sequence'} AS number, {bucket:UInt64}) AS bucket,
        min(number) AS lowest, maxIf(number, ingested_at < fromUnixTimestamp64Milli({settled:Int64}, 'UTC')) AS settled,
        bitmapToArray(bitmapAndnot(bitmapBuild(range(toUInt32({bucket:UInt64}))),
            groupBitmapState(toUInt32(number % {bucket:UInt64})))) AS absent,
        arrayMap(run -> [run[1], run[-1]],
            arraySplit((value, step) -> step != 1, arraySort(absent), arrayDifference(arraySort(absent)))) AS gaps
    FROM (
        SELECT time, kafka_partition, kafka_offset, spool, sequence, toString(node) AS node, type, ingested_at FROM stored_events
        UNION ALL
        SELECT time, kafka_partition, kafka_offset, spool, sequence, '' AS node, '' AS type, ingested_at FROM stored_corrections
    )
    WHERE time >= fromUnixTimestamp64Milli({timeFrom:Int64}, 'UTC')
      AND kafka_offset >= {froms:Array(UInt64)}[indexOf({partitions:Array(UInt16)}, kafka_partition)]
      ${storedFromMs === undefined ? '' : 'AND toUnixTimestamp64Milli(ingested_at) >= {storedFroms:Array(Int64)}[indexOf({partitions:Array(UInt16)}, kafka_partition)]'}
      ${isOffset ? '' : "AND (spool != '' OR type = {requestType:String})"}
      ${series === null ? '' : 'AND series IN {series:Array(String)}'}
    GROUP BY series, bucket
    ORDER BY series, bucket`,
    {
      bucket: bucketNumbers,
      settled: settledMs,
      timeFrom: timeFromMs,
      partitions: [...fromOffsets.keys()],
      froms: [...fromOffsets.values()],
      ...(storedFromMs === undefined
        ? {}
        : {
            storedFroms: [...fromOffsets.keys()].map((key) => storedFromMs.get(key) ?? 0),
          }),
      ...(isOffset ? {} : { requestType: requestEventType }),
      ...(series === null ? {} : { series }),
    },
  );
  return [...Map.groupBy(rows, (row) => row.series).values()].map(joinBuckets);
}

interface BucketRow {
  readonly series: string;
  readonly owner: string;
  readonly bucket: number;
  readonly lowest: number;
  readonly settled: number;
  readonly gaps: readonly (readonly [number, number])[];
}

function joinBuckets(buckets: readonly BucketRow[]): SeriesNumbers {
  const gaps: MissingRange[] = [];
  let next = buckets[0]?.bucket ?? 0;
  for (const { bucket, gaps: own } of buckets) {
    if (bucket > next) gaps.push({ from: next * bucketNumbers, to: bucket * bucketNumbers - 1 });
    const base = bucket * bucketNumbers;
    for (const [from, to] of own) gaps.push({ from: base + from, to: base + to });
    next = bucket + 1;
  }
  return {
    bucketsFrom: (buckets[0]?.bucket ?? 0) * bucketNumbers,
    bucketsTo: next * bucketNumbers,
    series: buckets[0]?.series ?? '',
    node: buckets[0]?.owner ?? '',
    lowest: buckets[0]?.lowest ?? 0,
    settled: buckets.reduce((highest, { settled }) => Math.max(highest, settled), 0),
    gaps,
  };
}

/**
 * Returns the missing numbers from `first` to `last`, both included. Ranges that adjoin are joined. If `numbers` is null, no
 * number is stored and all are missing.
 */
export function missingBetween(
  numbers: Pick<SeriesNumbers, 'gaps' | 'bucketsFrom' | 'bucketsTo'> | null,
  first: number,
  last: number,
): MissingRange[] {
  if (last < first) return [];
  if (numbers === null) return [{ from: first, to: last }];
  const { bucketsFrom, bucketsTo, gaps } = numbers;
  const ranges: { from: number; to: number }[] = [];
  for (const gap of [{ from: first, to: bucketsFrom - 1 }, ...gaps, { from: bucketsTo, to: last }]) {
    const from = Math.max(gap.from, first);
    const to = Math.min(gap.to, last);
    const before = ranges.at(-1);
    if (from > to) continue;
    if (before !== undefined && before.to === from - 1) before.to = to;
    else ranges.push({ from, to });
  }
  return ranges;
}

/** Returns how many numbers are missing in all series together. */
export function missingCount(bySeries: Readonly<Record<string, readonly MissingRange[]>>): number {
  return Object.values(bySeries)
    .flat()
    .reduce((sum, { from, to }) => sum + to - from + 1, 0);
}

/** Returns the ranges after removing `numbers` from them. */
export function withoutNumbers(
  ranges: readonly MissingRange[],
  numbers: ReadonlySet<number>,
): MissingRange[] {
  const inside = [...numbers].sort((a, b) => a - b);
  return ranges.flatMap(({ from, to }) => {
    const remaining: MissingRange[] = [];
    let next = from;
    for (const number of inside) {
      if (number < next || number > to) continue;
      if (number > next) remaining.push({ from: next, to: number - 1 });
      next = number + 1;
    }
    if (next <= to) remaining.push({ from: next, to });
    return remaining;
  });
}
