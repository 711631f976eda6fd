import { readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { endLeftover } from '../servers/server-process.ts';

/**
 * Locks the checkout. Only one stack may run in it, because its servers lock their data directories. Returns null if
 * the lock was acquired, otherwise the pid of the start that holds it. A lock whose process has ended is ignored.
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

/**
 * Stops processes that a killed start left running, because they would occupy ports, data directories and the spool.
 */
export async function endLeftovers(localDir: string): Promise<void> {
  const run = join(localDir, 'run');
  const services = await readdir(run).catch(() => []);
  // Stops services before the servers that they use, as a regular stop does.
  for (const name of services) await endLeftover(join(run, name));
  for (const name of ['prometheus', 'alertmanager', 'clickhouse', 'kafka', 'redis'])
    await endLeftover(join(localDir, name));
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
