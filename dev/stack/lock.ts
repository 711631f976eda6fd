import { readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { endLeftover } from '../servers/server-process.ts';

/**
 * Locks the checkout: only one stack may run in it, since its servers lock their data directories. Returns the pid of the
 * start that is running, or null after taking the lock. The lock of a process that has ended does not count.
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

/** Stops the processes that a killed start left running: they would hold ports, data directories and the spool. */
export async function endLeftovers(localDir: string): Promise<void> {
  const run = join(localDir, 'run');
  const services = await readdir(run).catch(() => []);
  // Services stop before the servers that they use, as in a regular stop.
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
