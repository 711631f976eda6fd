import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';

/**
 * Environment with which a service reads the compile cache of an earlier start; empty while there is no cache. A
 * service with the variable but without a cache would write one when it stops, which takes seconds.
 */
export function compileCacheEnvironment(localDir: string): Record<string, string> {
  const dir = cacheDir(localDir);
  return existsSync(dir) ? { NODE_COMPILE_CACHE: dir } : {};
}

/**
 * Creates the compile cache in the background at the lowest priority, if it does not exist. Returns a function that
 * stops this.
 */
export function warmCompileCache(localDir: string): () => Promise<void> {
  const target = cacheDir(localDir);
  if (existsSync(target)) return () => Promise.resolve();
  const draft = `${target}-draft`;
  const child = spawn(
    'nice',
    ['-n', '19', process.execPath, join(import.meta.dirname, 'warm-compile-cache.ts')],
    {
      env: { ...process.env, NODE_COMPILE_CACHE: draft, WARM_CACHE_DIR: target },
      stdio: 'ignore',
    },
  );
  // If `nice` is missing or a module cannot be loaded, no cache is created, and the next start tries again.
  const ended = new Promise<void>(
    (resolve) => void child.once('exit', () => resolve()).once('error', () => resolve()),
  );
  child.unref();
  return async () => {
    child.ref();
    child.kill('SIGKILL');
    await ended;
    await rm(draft, { recursive: true, force: true });
  };
}

function cacheDir(localDir: string): string {
  return join(localDir, 'compile-cache');
}
