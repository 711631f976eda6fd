import { join } from 'node:path';
import { openInPlace } from './in-place-file.ts';

/**
 * Content of the file `numbers`: which sequence numbers a run of the spool has assigned. The next run reads it, so that
 * it assigns none of them again:
 *
 * - `running`: at the time `atMs` all events were on the disk, so the last record there has the last sequence number.
 * - `memory`: some events are only in memory; their sequence numbers are at most `through`.
 * - `ended`: the run was closed, and `through` is the last sequence number.
 */
export interface SequenceMark {
  readonly state: 'running' | 'memory' | 'ended';
  readonly through: number;
  readonly atMs: number;
}

export interface SequenceMarkFile {
  write(mark: SequenceMark): Promise<void>;
  close(): Promise<void>;
}

/** Where the sequence numbers of a run start. */
export interface RunStart {
  /** Sequence number of the first event. */
  readonly first: number;
  /**
   * One above the last sequence number that the previous run certainly assigned. It is less than `first` if the
   * previous run may have assigned more.
   */
  readonly follows: number;
}

export async function openSequenceMark(
  directory: string,
): Promise<{ markFile: SequenceMarkFile; mark: SequenceMark | null }> {
  const file = await openInPlace(join(directory, 'numbers'));
  return {
    mark: markOf(await file.read()),
    markFile: { write: (mark) => file.write(mark), close: () => file.handle.close() },
  };
}

/**
 * A healthy run writes its mark about once a second. If the last mark is older than this, the disk may have failed
 * before the crash.
 */
const markAgeMsMax = 3_000;
/**
 * Sequence numbers that the next run skips if the previous run may have assigned numbers while the disk failed. The
 * count is so large that no run can assign more numbers while its disk fails.
 */
const skippedSequences = 10_000_000_000;

/**
 * Returns the first sequence number of the next run. After a crash, events that were only in memory may have used
 * numbers that no file contains. If the last mark is old, the next run therefore skips `skippedSequences` numbers.
 * `above`: the sequence number of the last record on the disk, plus one.
 */
export function runStart(mark: SequenceMark | null, above: number, nowMs: number): RunStart {
  if (mark === null) return { first: above, follows: above };
  if (mark.state !== 'running') {
    const first = Math.max(above, mark.through + 1);
    return { first, follows: first };
  }
  const isCertain = Math.abs(nowMs - mark.atMs) <= markAgeMsMax;
  return { first: isCertain ? above : above + skippedSequences, follows: above };
}

function markOf(value: unknown): SequenceMark | null {
  if (typeof value !== 'object' || value === null) return null;
  const { state, through, atMs } = value as Partial<SequenceMark>;
  if (state !== 'running' && state !== 'memory' && state !== 'ended') return null;
  if (!Number.isSafeInteger(through) || !Number.isSafeInteger(atMs)) return null;
  return { state, through: through ?? 0, atMs: atMs ?? 0 };
}
