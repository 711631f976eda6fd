import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { stat } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { TollgateError } from '../../../../shared/runtime/errors.ts';
import { openInPlace } from './in-place-file.ts';
import type { InPlaceFile } from './in-place-file.ts';

/** This process's claim on a spool folder, the same for as long as the spool is open. */
export interface LockOwner {
  readonly pid: number;
  /** Start of the process in clock ticks since boot, so that a number used again is not taken for the same process. */
  readonly startTicks: string;
  readonly host: string;
  /** Empty in the lock of a folder that was released. */
  readonly token: string;
}

export interface SpoolLock {
  /** Shows other hosts that the owner lives. Throws SPOOL_LOCKED when another process has the lock. */
  renew(): Promise<void>;
  release(): Promise<void>;
  /** Closes the file and keeps the lock. */
  close(): Promise<void>;
}

/** An owner on another machine cannot be asked; it counts as dead when its lock has not been touched for this long. */
const remoteStaleAfterMs = 15_000;
/** Two who take over the same dead lock write within this span; the later write wins and the other sees it. */
const settleMs = 50;

export function newLockOwner(): LockOwner {
  const { pid } = process;
  return { pid, startTicks: startTicksOf(pid) ?? '', host: hostname(), token: randomUUID() };
}

/**
 * Makes this process the only one that writes to the folder. The lock of a process that is gone is taken over at once,
 * and the own one is kept; `onOwnerAwaited` tells while an owner on another host may show that it lives. Throws SPOOL_LOCKED when a living process has it, and the error of the disk when the lock
 * cannot be read or written: that says nothing about other processes. The file is written in place, so that a full
 * disk keeps no process from its own spool.
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

/** Who created the file writes it at once: until then it is empty. */
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
    const lives = await isAlive(path, other).finally(() => {
      onOwnerAwaited(false);
    });
    if (lives) throw lockedBy(path, other);
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
  // Another file: the folder was removed or replaced. Whose it is now shows when it is locked anew.
  if (now.dev !== dev || now.ino !== ino) throw new Error(`${path} was replaced`);
  const owner = ownerIn(await file.read());
  if (owner !== null && owner.token !== mine.token) throw lockedBy(path, owner);
  await file.handle.utimes(new Date(), new Date());
}

function lockedBy(path: string, { pid, host }: LockOwner): TollgateError {
  return new TollgateError('SPOOL_LOCKED', `${path} belongs to process ${pid} on ${host}`);
}

/** The owner written in the lock, or null when there is none that can be read. */
function ownerIn(value: unknown): LockOwner | null {
  const owner = (typeof value === 'object' ? value : null) as Partial<LockOwner> | null;
  if (owner?.pid === undefined || owner.host === undefined) return null;
  return { startTicks: '', token: 'unknown', ...owner } as LockOwner;
}

async function isAlive(path: string, owner: LockOwner): Promise<boolean> {
  if (owner.host === hostname()) {
    const ticks = startTicksOf(owner.pid);
    // Where the start cannot be read, the number alone decides: waiting in vain loses nothing.
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
 * Field 22 of /proc/pid/stat; empty where there is no such file system, null when there is no such process (one that
 * was killed and not waited for yet counts as gone).
 */
function startTicksOf(pid: number): string | null {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'utf8');
    const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
    return fields[0] === 'Z' ? null : (fields[19] ?? '');
  } catch (error) {
    const gone = error instanceof Error && 'code' in error && error.code === 'ENOENT';
    return gone && process.platform === 'linux' ? null : '';
  }
}
