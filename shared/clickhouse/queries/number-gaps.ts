import type { ClickHouse } from '../client.ts';
import { requestEventType } from '../../domain/usage-event.ts';

/** Whole numbers from `from` to `to`, both missing. */
export interface MissingRange {
  readonly from: number;
  readonly to: number;
}

/** Numbers of one series that a look found, by bucket. */
export interface SeriesNumbers {
  readonly series: string;
  readonly node: string;
  readonly lowest: number;
  /** The buckets with any row reach from here … */
  readonly bucketsFrom: number;
  /** … to here, which is outside. */
  readonly bucketsTo: number;
  /** The highest number of an event that was stored before `settledMs`; 0 when there is none. */
  readonly settled: number;
  /** Ranges that no row has, within the buckets that have any row; ordered, ends of buckets not joined. */
  readonly gaps: readonly MissingRange[];
}

export interface NumbersQuestion {
  /** `offset`: Kafka's numbers by partition. `sequence`: a spool's by run, or by node where no run is named. */
  readonly kind: 'offset' | 'sequence';
  /** Only rows of these places of the log; the lowest offset of each partition. */
  readonly fromOffsets: ReadonlyMap<number, number>;
  /** Only rows of a partition that were stored at this time or later; absent: whenever they were. */
  readonly storedFromMs?: ReadonlyMap<number, number>;
  /** Only events of this time and later, which is what keeps a look cheap; 0 looks at all there are. */
  readonly timeFromMs: number;
  /** Only these series; null: all. */
  readonly series: readonly string[] | null;
  readonly settledMs: number;
}

/** Numbers are gathered as bitmaps of so many: contiguous ones cost a bit each, however many there are. */
export const bucketNumbers = 65_536;

/**
 * Which numbers of each series are stored, and which are missing between them. Voided events have their numbers too, and
 * so have corrections, so the stored tables are read, not the view; rows that were stored twice change nothing.
 */
export async function storedNumbers(
  clickhouse: ClickHouse,
  question: NumbersQuestion,
): Promise<SeriesNumbers[]> {
  const { kind, fromOffsets, storedFromMs, timeFromMs, series, settledMs } = question;
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
  return [...Map.groupBy(rows, (row) => row.series).values()].map(joined);
}

interface BucketRow {
  readonly series: string;
  readonly owner: string;
  readonly bucket: number;
  readonly lowest: number;
  readonly settled: number;
  readonly gaps: readonly (readonly [number, number])[];
}

function joined(buckets: readonly BucketRow[]): SeriesNumbers {
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
 * What is missing from `first` to `last`, both included: the gaps cut to that span, and joined where they touch. Where
 * nothing is stored (null) all of it is.
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

/** How many numbers the ranges of all series name. */
export function missingCount(bySeries: Readonly<Record<string, readonly MissingRange[]>>): number {
  return Object.values(bySeries)
    .flat()
    .reduce((sum, { from, to }) => sum + to - from + 1, 0);
}

/** The ranges without some numbers. */
export function withoutNumbers(
  ranges: readonly MissingRange[],
  numbers: ReadonlySet<number>,
): MissingRange[] {
  const inside = [...numbers].sort((a, b) => a - b);
  return ranges.flatMap(({ from, to }) => {
    const left: MissingRange[] = [];
    let next = from;
    for (const number of inside) {
      if (number < next || number > to) continue;
      if (number > next) left.push({ from: next, to: number - 1 });
      next = number + 1;
    }
    if (next <= to) left.push({ from: next, to });
    return left;
  });
}
