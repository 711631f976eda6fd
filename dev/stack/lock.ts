import { readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

/**
 * One stack for each checkout, since its servers hold their data folders. Answers the pid of the start that runs
 * already, or null after taking the lock. A lock whose process is gone, or is another program by now, counts for nothing.
 */
export async function takeLock(localDir: string): Promise<number | null> {
  const file = lockFile(localDir);
  const holder = Number(await readFile(file, 'utf8').catch(() => ''));
  if (Number.isInteger(holder) && holder > 1 && holder !== process.pid && (await isStart(holder)))
    return holder;
  await writeFile(file, `${process.pid}\n`);
  return null;
}

export async function releaseLock(localDir: string): Promise<void> {
  await rm(lockFile(localDir), { force: true });
}

async function isStart(pid: number): Promise<boolean> {
  const commandLine = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => null);
  if (commandLine !== null) return commandLine.includes('dev/start.ts');
  try {
    process.kill(pid, 0);
    return process.platform !== 'linux';
  } catch {
    return false;
  }
}

function lockFile(localDir: string): string {
  return join(localDir, 'start.pid');
}
