import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';

/**
 * The environment that lets a service take its compiled code from an earlier start; empty before there is any. A
 * service that began without the cache would write its own when it ends, which takes seconds that nobody expects there.
 */
export function compileCacheEnvironment(localDir: string): Record<string, string> {
  const dir = cacheDir(localDir);
  return existsSync(dir) ? { NODE_COMPILE_CACHE: dir } : {};
}

/** Makes the cache in the background, at the lowest priority, where it is missing. Answers how to give that up. */
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
  // Without `nice`, or when a module does not load, the next start compiles again: slower, and right.
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
