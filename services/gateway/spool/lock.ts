import { randomUUID } from 'node:crypto';
import {
  existsSync,
  linkSync,
  readFileSync,
  renameSync,
  statSync,
  unlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { TollgateError } from '../../../shared/runtime/errors.ts';

export interface SpoolLock {
  release(): void;
}

interface Owner {
  readonly pid: number;
  /** Start of the process in clock ticks since boot, so that a number used again is not taken for the same process. */
  readonly startTicks: string;
  readonly host: string;
  readonly token: string;
}

const touchIntervalMs = 2_000;
/** An owner on another machine cannot be asked; it counts as dead when its lock has not been touched for this long. */
const foreignStaleAfterMs = 15_000;
/** Two who take over the same dead lock write within this span; the later write wins and the other sees it. */
const settleMs = 50;

/**
 * Makes this process the only one that writes to the folder. The lock of a process that is gone is taken over at once.
 * Throws SPOOL_LOCKED when a living process has it. `onLost` is called if another process takes the lock after all,
 * which happens only to one that stood still for longer than `foreignStaleAfterMs`.
 */
export async function lockSpool(
  directory: string,
  onLost: (error: TollgateError) => void,
): Promise<SpoolLock> {
  const path = join(directory, 'lock');
  const mine: Owner = {
    pid: process.pid,
    startTicks: startTicksOf(process.pid) ?? '',
    host: hostname(),
    token: randomUUID(),
  };
  const other = ownerOf(path);
  if (other !== null && (await isAlive(path, other))) {
    throw new TollgateError(
      'SPOOL_LOCKED',
      `${directory} is in use by process ${other.pid} on ${other.host}`,
    );
  }
  if (!(await take(path, mine))) {
    throw new TollgateError('SPOOL_LOCKED', `${directory} was taken by another process at the same moment`);
  }
  const timer = setInterval(() => {
    if (ownerOf(path)?.token === mine.token) {
      utimesSync(path, new Date(), new Date());
      return;
    }
    clearInterval(timer);
    onLost(new TollgateError('SPOOL_LOCKED', `${directory} was taken by another process`));
  }, touchIntervalMs).unref();
  return {
    release() {
      clearInterval(timer);
      if (ownerOf(path)?.token === mine.token) unlinkSync(path);
    },
  };
}

/** True when the lock is ours. Where there is none, only one link succeeds; a dead one is replaced. */
async function take(path: string, mine: Owner): Promise<boolean> {
  const written = `${path}.${mine.token}`;
  writeFileSync(written, JSON.stringify(mine));
  if (!existsSync(path)) {
    try {
      linkSync(written, path);
    } catch {
      return false;
    } finally {
      unlinkSync(written);
    }
    return true;
  }
  renameSync(written, path);
  await wait(settleMs);
  return ownerOf(path)?.token === mine.token;
}

/** The owner written in the lock, or null when there is none that can be read. */
function ownerOf(path: string): Owner | null {
  try {
    const owner = JSON.parse(readFileSync(path, 'utf8')) as Partial<Owner> | null;
    if (owner?.pid === undefined || owner.host === undefined) return null;
    return { startTicks: '', token: '', ...owner } as Owner;
  } catch {
    return null;
  }
}

async function isAlive(path: string, owner: Owner): Promise<boolean> {
  if (owner.host === hostname()) return startTicksOf(owner.pid) === owner.startTicks && exists(owner.pid);
  const touchedMs = statSync(path, { throwIfNoEntry: false })?.mtimeMs;
  if (touchedMs === undefined) return false;
  const remainingMs = touchedMs + foreignStaleAfterMs - Date.now();
  if (remainingMs <= 0) return false;
  await wait(remainingMs);
  return statSync(path, { throwIfNoEntry: false })?.mtimeMs !== touchedMs;
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
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return fields[0] === 'Z' ? null : (fields[19] ?? '');
  } catch {
    return process.platform === 'linux' ? null : '';
  }
}
