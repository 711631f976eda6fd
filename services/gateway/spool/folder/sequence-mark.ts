import { join } from 'node:path';
import { openInPlace } from './in-place-file.ts';

/**
 * What is known of the numbers that a run of the spool gave, in the file `numbers`, so that none is given twice:
 *
 * - `running`: the disk had all events at `atMs`: the last record tells the last number.
 * - `memory`: events are kept in memory, with numbers up to `through` at the most.
 * - `ended`: the run was closed; `through` is the last number it gave.
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

/** Where a run begins. */
export interface RunStart {
  readonly first: number;
  /** One above the last number that the run before is known to have given: below `first` where that is not certain. */
  readonly follows: number;
}

export async function openSequenceMark(
  directory: string,
): Promise<{ numbers: SequenceMarkFile; mark: SequenceMark | null }> {
  const file = await openInPlace(join(directory, 'numbers'));
  return {
    mark: markOf(await file.read()),
    numbers: { write: (mark) => file.write(mark), close: () => file.handle.close() },
  };
}

/** A run marks that it works about once a second; after this time it may have worked without the disk. */
const markAgeMsMax = 3_000;
/** More numbers than a run gives while the disk takes no marks. */
const skippedSequences = 10_000_000_000;

/**
 * The numbers of the next run. Where the last one ended without a word, and not just now, it may have given numbers
 * that the disk never saw: the next run begins so far above that none is given twice. `above` is where the records end.
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
