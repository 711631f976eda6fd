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
}

export const spoolRunLengthMax = 64;

export function spoolRunName({ folder, openedAtMs, salt, first }: SpoolRun): string {
  return [folder, openedAtMs.toString(36), salt, first.toString(36)].join('.');
}

/** Null for what `spoolRunName` did not write. */
export function readSpoolRun(name: string): SpoolRun | null {
  const [, folder = '', opened = '', salt = '', first = ''] =
    /^([0-9a-z]+)\.([0-9a-z]+)\.([0-9a-z]+)\.([0-9a-z]+)$/.exec(name) ?? [];
  if (folder === '') return null;
  return { folder, openedAtMs: Number.parseInt(opened, 36), salt, first: Number.parseInt(first, 36) };
}
