import type { ClickHouse } from '../clickhouse/client.ts';
import { missingBetween, storedNumbers, withoutNumbers } from '../clickhouse/queries/number-gaps.ts';
import type { MissingRange, SeriesNumbers } from '../clickhouse/queries/number-gaps.ts';
import { readSpoolRun } from '../domain/spool-run.ts';
import type { SpoolRun } from '../domain/spool-run.ts';
import type { OffsetRange } from '../kafka/kafkajs/read-range.ts';
import type { SpoolNumber } from './log-record.ts';
import type { Recreations } from './recreations.ts';

export interface SequenceFindings {
  /** Numbers without an event, by run of a spool: each is an event that a client was answered for and nobody stored. */
  readonly missing: Readonly<Record<string, readonly MissingRange[]>>;
  /** Runs that began below the end of the run before: the folder was set back, or two nodes share copies of one. */
  readonly setBack: readonly string[];
}

export interface SequenceQuestion {
  readonly window: readonly OffsetRange[];
  readonly recreations: Recreations;
  readonly sinceMs: number;
  /** Events stored later may have neighbours that are still on their way. */
  readonly settledMs: number;
  /** Numbers that are accounted for without a row. */
  readonly accounted: readonly SpoolNumber[];
}

const dayMs = 86_400_000;

/**
 * Numbers of a run are contiguous, from its first on where it began within the window; and a run follows where the one
 * before ended. What misses at the very end of the newest run is not seen until the next event: that is the spool's age.
 */
export async function auditSequences(
  clickhouse: ClickHouse,
  { window, recreations, sinceMs, settledMs, accounted }: SequenceQuestion,
): Promise<SequenceFindings> {
  const fromOffsets = new Map(window.map(({ partition, from }) => [partition, from]));
  const look = (timeFromMs: number, series: readonly string[] | null): Promise<SeriesNumbers[]> =>
    storedNumbers(clickhouse, {
      kind: 'sequence',
      fromOffsets: series === null ? fromOffsets : new Map([...fromOffsets.keys()].map((key) => [key, 0])),
      // Why a number of an earlier topic has no row stood in records that were deleted with it: none is expected.
      ...(series === null ? { storedFromMs: recreations } : {}),
      timeFromMs,
      series,
      settledMs,
    });
  const recent = await look(Math.max(0, sinceMs - dayMs), null);
  const { spans, setBack } = spansOf(recent, Math.max(sinceMs, ...recreations.values()));
  const holed = spans.filter(({ numbers, first, last }) => missingBetween(numbers, first, last).length > 0);
  if (holed.length === 0) return { missing: {}, setBack };
  // Late events, and those below the window's edge, are found by looking at all there are.
  const all = new Map(
    (
      await look(
        0,
        holed.map(({ numbers }) => numbers.series),
      )
    ).map((one) => [one.series, one]),
  );
  const known = Map.groupBy(accounted, ({ run }) => run);
  const missing: Record<string, readonly MissingRange[]> = {};
  for (const { numbers, first, last } of holed) {
    const ranges = missingBetween(all.get(numbers.series) ?? numbers, first, last);
    const seen = new Set(known.get(numbers.series)?.map(({ number }) => number));
    const left = withoutNumbers(ranges, seen);
    if (left.length > 0) missing[nameOf(numbers)] = left;
  }
  return { missing, setBack };
}

/** What has to be there of one series: every number from `first` to `last`. */
interface Span {
  readonly numbers: SeriesNumbers;
  readonly first: number;
  readonly last: number;
}

/** A run that was opened since `knownFromMs` has to be there from its first number on. */
function spansOf(found: readonly SeriesNumbers[], knownFromMs: number): { spans: Span[]; setBack: string[] } {
  const runs = found.map((numbers) => ({ numbers, run: readSpoolRun(numbers.series) }));
  const spans: Span[] = [];
  const setBack: string[] = [];
  const folders = Map.groupBy(runs, ({ run, numbers }) => run?.folder ?? `node ${numbers.series}`);
  for (const folder of folders.values()) {
    const ordered = inOrder(folder);
    for (const [index, { numbers, run }] of ordered.entries()) {
      // Only a run that has come through tells how far the one before it must have come.
      const following = ordered.slice(index + 1).find((later) => later.numbers.settled > 0);
      const next = following?.run?.first ?? null;
      const follows = following?.run?.follows ?? null;
      const beginsBelow = next !== null && next <= numbers.settled;
      if (beginsBelow && following !== undefined) setBack.push(nameOf(following.numbers));
      spans.push({
        numbers,
        first: startOf(run, numbers, knownFromMs),
        last: follows === null || beginsBelow ? numbers.settled : Math.max(follows - 1, numbers.settled),
      });
    }
  }
  return { spans, setBack };
}

interface Run {
  readonly numbers: SeriesNumbers;
  readonly run: SpoolRun | null;
}

/**
 * Runs of a folder in the order they were opened. Their numbers only grow, so where each begins above the end of the one
 * before, that is the order, whatever the clock of the node said. Else the folder was set back, and the stamps of the
 * openings decide, which grow too (`openStamp`).
 */
function inOrder(runs: readonly Run[]): readonly Run[] {
  const byNumber = runs.toSorted((a, b) => (a.run?.first ?? 0) - (b.run?.first ?? 0));
  const isSetBack = byNumber.some(({ run }, index) => {
    const before = byNumber[index - 1];
    return before !== undefined && run !== null && run.first <= before.numbers.settled;
  });
  if (!isSetBack) return byNumber;
  return runs.toSorted((a, b) => (a.run?.openedAtMs ?? 0) - (b.run?.openedAtMs ?? 0));
}

function startOf(run: SpoolRun | null, numbers: SeriesNumbers, knownFromMs: number): number {
  return run !== null && run.openedAtMs >= knownFromMs ? Math.min(run.first, numbers.lowest) : numbers.lowest;
}

function nameOf({ node, series }: SeriesNumbers): string {
  return node === '' || node === series ? series : `${node} ${series}`;
}
