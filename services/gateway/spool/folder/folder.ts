import { mkdir, stat } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { openCursor } from './cursor.ts';
import type { Cursor } from './cursor.ts';
import { lockSpool } from './lock.ts';
import type { LockOwner, SpoolLock } from './lock.ts';
import { openSequenceMark } from './sequence-mark.ts';
import type { SequenceMarkFile, SequenceMark } from './sequence-mark.ts';
import { readFolderName, writeFolderName } from './run-id.ts';

/** The locked folder of a spool and its open files, except the files of the segments. */
export interface OpenFolder {
  readonly lock: SpoolLock;
  readonly cursor: Cursor;
  readonly markFile: SequenceMarkFile;
  /** Content of the file `numbers` as the previous run wrote it; null if there is none. */
  readonly mark: SequenceMark | null;
  readonly name: string;
  /** Device number of the file system that contains the folder. */
  readonly device: number;
  close(): Promise<void>;
}

/** What this process found when it opened the folder for the first time. */
export interface EarlierFolder {
  /** Name of the folder; null if it was never opened. */
  readonly name: string | null;
  /** Device number of the file system that contains the folder, or in which the folder would be created. */
  readonly device: number;
}

export interface FolderClaim {
  readonly owner: LockOwner;
  /** The name that is written to a folder without a name. */
  readonly nameIfNone: string;
  /** The folder as this process found it before; null at the first attempt. */
  readonly earlier: EarlierFolder | null;
  /** Called before and after the wait for another owner of the lock; see `lockSpool`. */
  readonly onOwnerAwaited: (isAwaited: boolean) => void;
}

/**
 * Creates the folder if it is missing, locks it, and opens its files. The folder is created only on the file system of the
 * first attempt: after an `umount`, a new folder below the mount point would not be the spool.
 */
export async function openFolder(
  directory: string,
  { owner, nameIfNone, earlier, onOwnerAwaited }: FolderClaim,
): Promise<OpenFolder> {
  const name = await readFolderName(directory);
  const isOther =
    name === null
      ? earlier !== null && (await deviceOf(directory)) !== earlier.device
      : earlier !== null && earlier.name !== null && earlier.name !== name;
  if (isOther) throw notMounted(directory);
  // The folder was open before, so it exists. If its file system is not mounted at the moment, mkdir would
  // create another folder below the mount point.
  if (name === null) await mkdir(directory, { recursive: true });
  const lock = await lockSpool(directory, owner, onOwnerAwaited);
  const opened: { close(): Promise<void> }[] = [lock];
  try {
    const { dev: device } = await stat(directory);
    if (name === null && earlier !== null && device !== earlier.device) throw notMounted(directory);
    const { markFile, mark } = await openSequenceMark(directory);
    opened.push(markFile);
    const cursor = await openCursor(join(directory, 'cursor'));
    opened.push(cursor);
    if (name === null) await writeFolderName(directory, nameIfNone);
    return { lock, markFile, mark, cursor, name: name ?? nameIfNone, device, close: () => closeAll(opened) };
  } catch (error) {
    await closeAll(opened);
    throw error;
  }
}

function notMounted(directory: string): Error {
  return new Error(
    `${directory} is not the folder that was opened before: its file system may not be mounted`,
  );
}

async function closeAll(opened: readonly { close(): Promise<void> }[]): Promise<void> {
  await Promise.allSettled(opened.map((file) => file.close()));
}

/** Returns the device number of the folder, or of its nearest existing ancestor. */
export async function deviceOf(directory: string): Promise<number> {
  for (let path = resolve(directory); ; path = dirname(path)) {
    try {
      return (await stat(path)).dev;
    } catch (error) {
      const missing = error instanceof Error && 'code' in error && error.code === 'ENOENT';
      if (!missing || path === dirname(path)) throw error;
    }
  }
}
