/**
 * One opening of a gateway's spool, as it stands on every event as the attribute `spool`. Numbers are contiguous within
 * a run, and a run of the same folder goes on where the one before ended. So a gap is a loss, and a run that begins
 * below its predecessor's end tells that the folder was set back (an old copy, two nodes on copies of one folder):
 * then two events share a number, but never a run and a number.
 */
export interface SpoolRun {
  /** Made with the folder: a node whose disk was lost begins a new series. */
  readonly folder: string;
  /** Unix milliseconds. */
  readonly openedAtMs: number;
  /** Random, so that copies opened in one millisecond differ. */
  readonly salt: string;
  /** Number of the first event of the run. */
  readonly first: number;
  /**
   * One above the last number that the run before is known to have given. Below `first` where the disk could not keep
   * it: the numbers between were passed over, so that none is given twice.
   */
  readonly follows: number;
}

export const spoolRunLengthMax = 64;

/** `follows` is `first` unless it is given. */
export function spoolRunName(run: Omit<SpoolRun, 'follows'> & { readonly follows?: number }): string {
  const { folder, openedAtMs, salt, first, follows = first } = run;
  const parts = [folder, openedAtMs.toString(36), salt, first.toString(36)];
  if (follows !== first) parts.push(follows.toString(36));
  return parts.join('.');
}

/** Null for what `spoolRunName` did not write. */
export function readSpoolRun(name: string): SpoolRun | null {
  const [, folder = '', opened = '', salt = '', begin = '', end = begin] =
    /^([0-9a-z]+)\.([0-9a-z]+)\.([0-9a-z]+)\.([0-9a-z]+)(?:\.([0-9a-z]+))?$/.exec(name) ?? [];
  if (folder === '') return null;
  const [first, follows] = [Number.parseInt(begin, 36), Number.parseInt(end, 36)];
  return { folder, openedAtMs: Number.parseInt(opened, 36), salt, first, follows };
}
