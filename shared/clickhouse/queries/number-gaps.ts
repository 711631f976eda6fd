import type { ClickHouse } from '../client.ts';
import { requestEventType } from '../../domain/usage-event.ts';

/** The missing integers from `from` to `to`, both included. */
export interface MissingRange {
  readonly from: number;
  readonly to: number;
}

/** Stored numbers of one series. */
export interface SeriesNumbers {
  readonly series: string;
  readonly node: string;
  readonly lowest: number;
  /** First number of the buckets with any row. */
  readonly bucketsFrom: number;
  /** End of the buckets with any row, excluded. */
  readonly bucketsTo: number;
  /** Highest number of an event stored before `settledMs`; 0 when there is none. */
  readonly settled: number;
  /** Missing ranges within the buckets with any row; ordered, not joined across buckets. */
  readonly gaps: readonly MissingRange[];
}

export interface NumbersQuery {
  /** `offset`: Kafka offsets by partition. `sequence`: sequence numbers of a spool by run id, or by node where the event has no run id. */
  readonly kind: 'offset' | 'sequence';
  /** Lowest Kafka offset of each partition; only rows from there on. */
  readonly fromOffsets: ReadonlyMap<number, number>;
  /** By partition: only rows stored at this Unix ms or later; absent: all rows. */
  readonly storedFromMs?: ReadonlyMap<number, number>;
  /** Unix ms: only events from this time on, so that few partitions are read; 0: all events. */
  readonly timeFromMs: number;
  /** Only these series; null: all. */
  readonly series: readonly string[] | null;
  readonly settledMs: number;
}

/** Numbers in one bitmap: each costs one bit. */
export const bucketNumbers = 65_536;

/**
 * Returns which numbers of each series are stored and which are missing between them. Reads the stored tables, not the
 * view, because voided events and corrections have numbers too; rows stored twice change nothing.
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
 * The missing numbers from `first` to `last`, both included: the gaps within that span, joined where they touch. All of
 * them where nothing is stored (null).
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

/** Number of missing numbers in the ranges of all series. */
export function missingCount(bySeries: Readonly<Record<string, readonly MissingRange[]>>): number {
  return Object.values(bySeries)
    .flat()
    .reduce((sum, { from, to }) => sum + to - from + 1, 0);
}

/** The ranges without the numbers in `numbers`. */
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
