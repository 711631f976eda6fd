import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { TollgateError, messageOf } from '../shared/runtime/errors.ts';
import { findProgram } from './packages.ts';
import type { Say } from './packages.ts';

const run = promisify(execFile);

/** The lists in `dev/python` name proxies, clients, fuzzers and frameworks that are Python packages. */
export type PythonList =
  | 'ai-sdk'
  | 'proxies'
  | 'clients'
  | 'openmeter'
  | 'fuzzers'
  | 'upstreams'
  | 'examples'
  | 'kubernetes'
  | 'generated';

/**
 * The `bin` directory of a virtual environment that has the packages of a list, e.g. for `join(bin, 'python')`. An
 * environment is created once for each version of the list, in the user's cache. Throws `SERVER_MISSING` with advice.
 */
export async function pythonBin(list: PythonList, say: Say): Promise<string> {
  const requirements = join(import.meta.dirname, 'python', `${list}.txt`);
  const digest = createHash('sha256')
    .update(await readFile(requirements))
    .digest('hex')
    .slice(0, 12);
  const cache = join(process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache'), 'tollgate');
  const home = join(cache, `python-${list}-${digest}`);
  const complete = join(home, 'complete');
  if (existsSync(complete)) return join(home, 'bin');
  const python = findProgram('python3');
  if (python === null) throw missing('python3 is not installed');
  await mkdir(cache, { recursive: true });
  await withLock(`${home}.lock`, async () => {
    if (existsSync(complete)) return;
    say(`installing the Python packages of dev/python/${list}.txt`);
    // A virtual environment contains its own path and cannot be moved. It is therefore created at its final path, and
    // a file marks it as complete afterwards.
    await rm(home, { recursive: true, force: true });
    try {
      await run(python, ['-m', 'venv', home]);
      const pip = join(home, 'bin', 'pip');
      await run(pip, ['install', '--quiet', '--disable-pip-version-check', '-r', requirements], {
        maxBuffer: 16 * 1024 * 1024,
      });
      await writeFile(complete, '');
    } catch (error) {
      throw missing(messageOf(error));
    }
  });
  return join(home, 'bin');
}

const lockWaitMsMax = 300_000;
const lockProbeMs = 200;

/**
 * Holds a lock while `work` runs; the lock is a directory. If the lock of another process is still held after
 * `lockWaitMsMax`, that process is assumed to be dead, and its lock is removed.
 */
async function withLock(path: string, work: () => Promise<void>): Promise<void> {
  const deadline = performance.now() + lockWaitMsMax;
  for (;;) {
    try {
      await mkdir(path);
      break;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
      if (performance.now() > deadline) await rename(path, `${path}-${process.pid}-left`);
      await new Promise((resolve) => setTimeout(resolve, lockProbeMs));
    }
  }
  try {
    await work();
  } finally {
    await rm(path, { recursive: true, force: true });
  }
}

function missing(reason: string): TollgateError {
  return new TollgateError(
    'SERVER_MISSING',
    `Python packages: ${reason}.\nRun: sudo apt-get update && sudo apt-get install -y python3 python3-venv`,
  );
}
