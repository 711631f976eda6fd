import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import type { RedisClient } from './client.ts';

export interface Script {
  readonly source: string;
  readonly sha: string;
}

type Argument = string | number;

/** A script made of parts of `scripts/`, in order: later parts use what earlier ones define. */
export function readScript(...parts: readonly string[]): Script {
  const source = parts
    .map((part) => readFileSync(new URL(`./scripts/${part}.lua`, import.meta.url), 'utf8'))
    .join('\n');
  return { source, sha: createHash('sha1').update(source).digest('hex') };
}

/**
 * Runs a script by its hash. Redis that has forgotten it (restart, SCRIPT FLUSH, another node of a cluster) is given the
 * source once: NOSCRIPT means that nothing ran, so running it again counts nothing twice.
 */
export async function runScript(
  redis: RedisClient,
  script: Script,
  keys: readonly string[],
  args: readonly Argument[],
): Promise<unknown> {
  try {
    return await redis.evalsha(script.sha, keys.length, ...keys, ...args);
  } catch (error) {
    if (!(error instanceof Error) || !error.message.startsWith('NOSCRIPT')) throw error;
    return await redis.eval(script.source, keys.length, ...keys, ...args);
  }
}
