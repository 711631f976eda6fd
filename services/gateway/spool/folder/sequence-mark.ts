import { join } from 'node:path';
import { openInPlace } from './in-place-file.ts';

/**
 * Which sequence numbers a run of the spool has assigned, in the file `numbers`, so that the next run assigns none of them
 * again:
 *
 * - `running`: at `atMs` the disk had all events, so the last record has the last number.
 * - `memory`: events are in memory, with numbers up to `through` at most.
 * - `ended`: the run was closed, and `through` is the last number.
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

/** The start of a run. */
export interface RunStart {
  /** Sequence number of the first event. */
  readonly first: number;
  /** One above the last number that the previous run certainly assigned. Below `first` if it may have assigned more. */
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

/** A run writes its mark about once a second. If the mark is older than this, the run may have worked without the disk. */
const markAgeMsMax = 3_000;
/** More sequence numbers than a run can assign while the disk fails. */
const skippedSequences = 10_000_000_000;

/**
 * The start of the next run. If the previous run crashed some time after its last mark, it may have assigned numbers that
 * are not on the disk, so the next run skips more numbers than that. `above` is one above the last record.
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
