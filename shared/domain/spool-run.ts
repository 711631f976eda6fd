/**
 * One run of a gateway's spool, from its opening to its close. Every event carries the run's name in the attribute
 * `spool`. Sequence numbers are contiguous within a run, and the next run of the same directory continues where the
 * previous run ended, so a gap is a loss. If a run begins below the end of the previous run, the directory was
 * restored from an older copy, or two nodes use copies of one directory. Two events may then have the same sequence
 * number, but never the same run and sequence number.
 */
export interface SpoolRun {
  /**
   * Id of the spool directory, created with it. A node that lost its disk gets a new id and starts a new
   * series of runs.
   */
  readonly folder: string;
  /** Time of the opening in Unix milliseconds. */
  readonly openedAtMs: number;
  /**
   * Random text, so that two copies of a directory that are opened in the same millisecond have different run names.
   */
  readonly salt: string;
  /** Sequence number of the first event of the run. */
  readonly first: number;
  /**
   * The last sequence number that the previous run is known to have assigned, plus one. It is below `first` if the
   * disk could not store that number. The new run then skips some numbers, so that no number is assigned twice.
   */
  readonly follows: number;
}

export const spoolRunLengthMax = 64;

/** The text of a run in the attribute `spool`. Without `follows` the previous run ended directly before `first`. */
export function spoolRunName(run: Omit<SpoolRun, 'follows'> & { readonly follows?: number }): string {
  const { folder, openedAtMs, salt, first, follows = first } = run;
  const parts = [folder, openedAtMs.toString(36), salt, first.toString(36)];
  if (follows !== first) parts.push(follows.toString(36));
  return parts.join('.');
}

/** Reads the attribute `spool` of an event; null if `spoolRunName` did not write it. */
export function readSpoolRun(name: string): SpoolRun | null {
  const [, folder = '', opened = '', salt = '', begin = '', end = begin] =
    /^([0-9a-z]+)\.([0-9a-z]+)\.([0-9a-z]+)\.([0-9a-z]+)(?:\.([0-9a-z]+))?$/.exec(name) ?? [];
  if (folder === '') return null;
  const [first, follows] = [Number.parseInt(begin, 36), Number.parseInt(end, 36)];
  return { folder, openedAtMs: Number.parseInt(opened, 36), salt, first, follows };
}
