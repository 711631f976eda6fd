import type { ClickHouse } from '../clickhouse/client.ts';
import { missingBetween, storedNumbers, withoutNumbers } from '../clickhouse/queries/number-gaps.ts';
import type { MissingRange, SeriesNumbers } from '../clickhouse/queries/number-gaps.ts';
import { readSpoolRun } from '../domain/spool-run.ts';
import type { SpoolRun } from '../domain/spool-run.ts';
import type { OffsetRange } from '../kafka/kafkajs/read-range.ts';
import type { SpoolNumber } from './log-record.ts';
import type { Recreations } from './recreations.ts';

export interface SequenceFindings {
  /**
   * Sequence numbers without a stored event, by run id of the spool: the client received a response, but the event has no row.
   */
  readonly missing: Readonly<Record<string, readonly MissingRange[]>>;
  /**
   * Runs whose first sequence number is not above the last number of the run before: the spool folder was restored from a backup,
   * or two gateways use copies of it.
   */
  readonly setBack: readonly string[];
}

export interface SequenceAuditOptions {
  readonly window: readonly OffsetRange[];
  readonly recreations: Recreations;
  readonly sinceMs: number;
  /**
   * Unix milliseconds: events stored after this time are not audited, because events with lower sequence numbers may still be in
   * the pipeline.
   */
  readonly settledMs: number;
  /** Sequence numbers without a row for which the audit of offsets has found a reason or a loss. */
  readonly accounted: readonly SpoolNumber[];
}

const dayMs = 86_400_000;

/**
 * Checks that the sequence numbers of each run (one start of a gateway's spool) have no gap, and that each run begins where the
 * run before it ended. A run that began within the window is checked from its first number. A loss at the end of the newest run
 * is found only after the next event; until then the metric of the spool's age shows it.
 */
export async function auditSequences(
  clickhouse: ClickHouse,
  { window, recreations, sinceMs, settledMs, accounted }: SequenceAuditOptions,
): Promise<SequenceFindings> {
  const fromOffsets = new Map(window.map(({ partition, from }) => [partition, from]));
  const readNumbers = (timeFromMs: number, series: readonly string[] | null): Promise<SeriesNumbers[]> =>
    storedNumbers(clickhouse, {
      kind: 'sequence',
      fromOffsets: series === null ? fromOffsets : new Map([...fromOffsets.keys()].map((key) => [key, 0])),
      // Numbers from an earlier topic with the same name are not checked: the records that could explain them were deleted with
      // the topic.
      ...(series === null ? { storedFromMs: recreations } : {}),
      timeFromMs,
      series,
      settledMs,
    });
  const recent = await readNumbers(Math.max(0, sinceMs - dayMs), null);
  const { spans, setBack } = spansOf(recent, Math.max(sinceMs, ...recreations.values()));
  const incomplete = spans.filter(
    ({ numbers, first, last }) => missingBetween(numbers, first, last).length > 0,
  );
  if (incomplete.length === 0) return { missing: {}, setBack };
  // The missing numbers are searched again in all events, because their events may be late or from before the window.
  const all = new Map(
    (
      await readNumbers(
        0,
        incomplete.map(({ numbers }) => numbers.series),
      )
    ).map((one) => [one.series, one]),
  );
  const explained = Map.groupBy(accounted, ({ run }) => run);
  const missing: Record<string, readonly MissingRange[]> = {};
  for (const { numbers, first, last } of incomplete) {
    const ranges = missingBetween(all.get(numbers.series) ?? numbers, first, last);
    const seen = new Set(explained.get(numbers.series)?.map(({ number }) => number));
    const missingRanges = withoutNumbers(ranges, seen);
    if (missingRanges.length > 0) missing[nameOf(numbers)] = missingRanges;
  }
  return { missing, setBack };
}

/** The sequence numbers that one run must have: all numbers from `first` to `last`. */
interface Span {
  readonly numbers: SeriesNumbers;
  readonly first: number;
  readonly last: number;
}

/**
 * Returns the numbers that each run must have. A run that began at `completeFromMs` or later must have all numbers from its first
 * one.
 */
function spansOf(
  found: readonly SeriesNumbers[],
  completeFromMs: number,
): { spans: Span[]; setBack: string[] } {
  const runs = found.map((numbers) => ({ numbers, run: readSpoolRun(numbers.series) }));
  const spans: Span[] = [];
  const setBack: string[] = [];
  const folders = Map.groupBy(runs, ({ run, numbers }) => run?.folder ?? `node ${numbers.series}`);
  for (const folder of folders.values()) {
    const ordered = inOrder(folder);
    for (const [index, { numbers, run }] of ordered.entries()) {
      // This run must have all numbers up to the start of the next run that has events stored before `settledMs`.
      const following = ordered.slice(index + 1).find((later) => later.numbers.settled > 0);
      const next = following?.run?.first ?? null;
      const follows = following?.run?.follows ?? null;
      const beginsBelow = next !== null && next <= numbers.settled;
      if (beginsBelow && following !== undefined) setBack.push(nameOf(following.numbers));
      spans.push({
        numbers,
        first: startOf(run, numbers, completeFromMs),
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
 * Returns the runs of a spool folder in the order in which they were started. Sequence numbers only grow. If each run begins
 * above the last number of the run before, the runs are ordered by their numbers, so the gateway's clock has no effect. Otherwise
 * the folder was restored from a backup, and the runs are ordered by the times at which they were started.
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

function startOf(run: SpoolRun | null, numbers: SeriesNumbers, completeFromMs: number): number {
  return run !== null && run.openedAtMs >= completeFromMs
    ? Math.min(run.first, numbers.lowest)
    : numbers.lowest;
}

function nameOf({ node, series }: SeriesNumbers): string {
  return node === '' || node === series ? series : `${node} ${series}`;
}
