import { mkdir, stat } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { openCursor } from './cursor.ts';
import type { Cursor } from './cursor.ts';
import { lockSpool } from './lock.ts';
import type { LockOwner, SpoolLock } from './lock.ts';
import { openSequenceMark } from './sequence-mark.ts';
import type { SequenceMarkFile, SequenceMark } from './sequence-mark.ts';
import { readFolderName, writeFolderName } from './run-id.ts';

/** The folder of a spool, locked, with its small files open. */
export interface OpenFolder {
  readonly lock: SpoolLock;
  readonly cursor: Cursor;
  readonly numbers: SequenceMarkFile;
  /** The last word of the run before, if it left one. */
  readonly mark: SequenceMark | null;
  /** Its name was there, and not made now. */
  readonly hadName: boolean;
  readonly name: string;
  /** Device of the file system that holds it. */
  readonly device: number;
  close(): Promise<void>;
}

/** What this process knows of the folder from an earlier try to open it. */
export interface EarlierFolder {
  /** Null until it was opened. */
  readonly name: string | null;
  /** Device of the file system that holds it. */
  readonly device: number;
}

export interface FolderClaim {
  readonly owner: LockOwner;
  readonly nameIfNone: string;
  /** Null on the first try. */
  readonly known: EarlierFolder | null;
  readonly onOwnerAwaited: (isAwaited: boolean) => void;
}

/**
 * Makes the folder if it is missing, locks it, and opens its files. A folder is only made on
 * the file system where it was looked for first: the mount point of one that is not mounted now is not a spool.
 */
export async function openFolder(
  directory: string,
  { owner, nameIfNone, known, onOwnerAwaited }: FolderClaim,
): Promise<OpenFolder> {
  let name = await readFolderName(directory);
  const isOther =
    name === null
      ? known !== null && (await deviceOf(directory)) !== known.device
      : known !== null && known.name !== null && known.name !== name;
  if (isOther) throw notMounted(directory);
  // A folder with a name exists. Where its file system is unmounted at this moment, a new one would hide below the mount.
  if (name === null) await mkdir(directory, { recursive: true });
  const lock = await lockSpool(directory, owner, onOwnerAwaited);
  const opened: { close(): Promise<void> }[] = [lock];
  try {
    const { dev: device } = await stat(directory);
    if (name === null && known !== null && device !== known.device) throw notMounted(directory);
    const { numbers, mark } = await openSequenceMark(directory);
    opened.push(numbers);
    const cursor = await openCursor(join(directory, 'cursor'));
    opened.push(cursor);
    const hadName = name !== null;
    name ??= nameIfNone;
    if (!hadName) await writeFolderName(directory, name);
    return { lock, numbers, mark, cursor, hadName, name, device, close: () => closeAll(opened) };
  } catch (error) {
    await closeAll(opened);
    throw error;
  }
}

function notMounted(directory: string): Error {
  return new Error(`${directory} is not the folder that was opened: its file system may not be mounted`);
}

async function closeAll(opened: readonly { close(): Promise<void> }[]): Promise<void> {
  await Promise.allSettled(opened.map((file) => file.close()));
}

/** Device of the folder, or of the nearest folder above it that exists. */
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
