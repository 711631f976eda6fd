/**
 * One opening of a gateway's spool. Every event carries it as the attribute `spool`. Sequence numbers are contiguous
 * within a run, and the next run of the same directory continues where the previous one ended. So a gap is a loss. A run
 * that begins below the end of its predecessor shows that the directory was set back to an older copy, or that two nodes
 * use copies of one directory: two events may then share a sequence number, but never a run id and a sequence number.
 */
export interface SpoolRun {
  /** Id created with the directory: a node whose disk was lost begins a new series. */
  readonly folder: string;
  /** Unix milliseconds. */
  readonly openedAtMs: number;
  /** Random, so that copies opened in the same millisecond differ. */
  readonly salt: string;
  /** Sequence number of the first event of the run. */
  readonly first: number;
  /**
   * One above the last sequence number that the previous run is known to have assigned. Below `first` if the disk could
   * not store that number: the numbers between are skipped, so that none is assigned twice.
   */
  readonly follows: number;
}

export const spoolRunLengthMax = 64;

/** Absent, `follows` is `first`. */
export function spoolRunName(run: Omit<SpoolRun, 'follows'> & { readonly follows?: number }): string {
  const { folder, openedAtMs, salt, first, follows = first } = run;
  const parts = [folder, openedAtMs.toString(36), salt, first.toString(36)];
  if (follows !== first) parts.push(follows.toString(36));
  return parts.join('.');
}

/** Null for a text that `spoolRunName` did not write. */
export function readSpoolRun(name: string): SpoolRun | null {
  const [, folder = '', opened = '', salt = '', begin = '', end = begin] =
    /^([0-9a-z]+)\.([0-9a-z]+)\.([0-9a-z]+)\.([0-9a-z]+)(?:\.([0-9a-z]+))?$/.exec(name) ?? [];
  if (folder === '') return null;
  const [first, follows] = [Number.parseInt(begin, 36), Number.parseInt(end, 36)];
  return { folder, openedAtMs: Number.parseInt(opened, 36), salt, first, follows };
}
