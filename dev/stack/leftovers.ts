import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { endLeftover } from '../servers/server-process.ts';

/** Ends what an earlier start that was killed has left running: it would hold ports, data folders and the spool. */
export async function endLeftovers(localDir: string): Promise<void> {
  const run = join(localDir, 'run');
  const services = await readdir(run).catch(() => []);
  // Services first, as in every other end: they live by the servers.
  for (const name of services) await endLeftover(join(run, name));
  for (const name of ['prometheus', 'alertmanager', 'clickhouse', 'kafka', 'redis'])
    await endLeftover(join(localDir, name));
}
