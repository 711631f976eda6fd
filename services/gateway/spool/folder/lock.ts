import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { stat } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { TollgateError } from '../../../../shared/runtime/errors.ts';
import { openInPlace } from './in-place-file.ts';
import type { InPlaceFile } from './in-place-file.ts';

/** Identity of the process that holds the lock of a spool folder. It stays the same while the spool is open. */
export interface LockOwner {
  readonly pid: number;
  /**
   * Start time of the process in clock ticks since boot. It distinguishes two processes that had the same process id.
   */
  readonly startTicks: string;
  readonly host: string;
  /** Random text of the owner; empty after the lock was released. */
  readonly token: string;
}

export interface SpoolLock {
  /**
   * Updates the modification time of the lock file, by which other hosts recognise that the owner is alive. Throws
   * SPOOL_LOCKED if another process has the lock, or the error that the disk returned.
   */
  renew(): Promise<void>;
  release(): Promise<void>;
  /** Closes the file without releasing the lock. */
  close(): Promise<void>;
}

/** An owner on another host counts as dead if its lock was not renewed for this time. */
const remoteStaleAfterMs = 15_000;
/**
 * If two processes take over the same stale lock, both write within this time. The process whose write is later gets
 * the lock.
 */
const settleMs = 50;

export function newLockOwner(): LockOwner {
  const { pid } = process;
  return { pid, startTicks: startTicksOf(pid) ?? '', host: hostname(), token: randomUUID() };
}

/**
 * Locks the folder, so that only this process writes to it. The lock of a dead process is taken over at once. If the
 * owner is on another host, this function waits for the time in which a running owner would renew its lock, and calls
 * `onOwnerAwaited` with true before and with false after the wait. Throws SPOOL_LOCKED if a running process has the
 * lock, or the error of the disk if the lock cannot be read or written. The lock file is written in place, so that a
 * process can lock its spool on a full disk.
 */
export async function lockSpool(
  directory: string,
  mine: LockOwner,
  onOwnerAwaited: (isAwaited: boolean) => void,
): Promise<SpoolLock> {
  const path = join(directory, 'lock');
  const file = await openInPlace(path);
  try {
    const other = file.isNew ? null : await readOwner(file);
    if (file.isNew) await file.write(mine);
    else if (other?.token !== mine.token) await takeOver(path, file, other, mine, onOwnerAwaited);
    const { dev, ino } = await file.handle.stat();
    return {
      renew: () => renew(path, file, { dev, ino }, mine),
      async release() {
        if (ownerIn(await file.read())?.token === mine.token) await file.write({ ...mine, token: '' });
        await file.handle.close();
      },
      close: () => file.handle.close(),
    };
  } catch (error) {
    await file.handle.close();
    throw error;
  }
}

/**
 * Reads the owner, if necessary a second time: the process that created the file may not have written its entry yet.
 */
async function readOwner(file: InPlaceFile): Promise<LockOwner | null> {
  const owner = ownerIn(await file.read());
  if (owner !== null) return owner;
  await wait(settleMs);
  return ownerIn(await file.read());
}

async function takeOver(
  path: string,
  file: InPlaceFile,
  other: LockOwner | null,
  mine: LockOwner,
  onOwnerAwaited: (isAwaited: boolean) => void,
): Promise<void> {
  if (other !== null && other.token !== '') {
    onOwnerAwaited(true);
    const isOwned = await isAlive(path, other).finally(() => {
      onOwnerAwaited(false);
    });
    if (isOwned) throw lockedBy(path, other);
  }
  await file.write(mine);
  await wait(settleMs);
  const owner = ownerIn(await file.read());
  if (owner !== null && owner.token !== mine.token) throw lockedBy(path, owner);
}

async function renew(
  path: string,
  file: InPlaceFile,
  { dev, ino }: { readonly dev: number; readonly ino: number },
  mine: LockOwner,
): Promise<void> {
  const now = await stat(path);
  // The folder was removed or replaced. The next attempt to lock it detects whether another process owns it.
  if (now.dev !== dev || now.ino !== ino) throw new Error(`${path} was replaced`);
  const owner = ownerIn(await file.read());
  if (owner !== null && owner.token !== mine.token) throw lockedBy(path, owner);
  await file.handle.utimes(new Date(), new Date());
}

function lockedBy(path: string, { pid, host }: LockOwner): TollgateError {
  return new TollgateError('SPOOL_LOCKED', `${path} belongs to process ${pid} on ${host}`);
}

/** Returns the owner in the lock file, or null if the file contains no valid owner. */
function ownerIn(value: unknown): LockOwner | null {
  const owner = (typeof value === 'object' ? value : null) as Partial<LockOwner> | null;
  if (owner?.pid === undefined || owner.host === undefined) return null;
  return { startTicks: '', token: 'unknown', ...owner } as LockOwner;
}

async function isAlive(path: string, owner: LockOwner): Promise<boolean> {
  if (owner.host === hostname()) {
    const ticks = startTicksOf(owner.pid);
    // If the start time cannot be read, the process id alone decides. A wrong match only delays the takeover
    // and loses nothing.
    const isSame = ticks === '' || owner.startTicks === '' || ticks === owner.startTicks;
    return ticks !== null && isSame && exists(owner.pid);
  }
  const { mtimeMs } = await stat(path);
  const remainingMs = mtimeMs + remoteStaleAfterMs - Date.now();
  if (remainingMs <= 0) return false;
  await wait(remainingMs);
  return (await stat(path)).mtimeMs !== mtimeMs;
}

function exists(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error instanceof Error && 'code' in error && error.code === 'EPERM';
  }
}

/**
 * Returns the start time of a process: field 22 of /proc/<pid>/stat. Empty on systems without /proc; null if the
 * process does not exist or is a zombie.
 */
function startTicksOf(pid: number): string | null {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'utf8');
    const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
    return fields[0] === 'Z' ? null : (fields[19] ?? '');
  } catch (error) {
    const isMissing = error instanceof Error && 'code' in error && error.code === 'ENOENT';
    return isMissing && process.platform === 'linux' ? null : '';
  }
}
