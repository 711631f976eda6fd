import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import type { RedisClient } from './client.ts';

export interface Script {
  readonly source: string;
  readonly sha: string;
}

export type Argument = string | number | Buffer;

/** Reads a script that is joined from files of `scripts/`, in order: later files use the definitions of earlier files. */
export function readScript(...parts: readonly string[]): Script {
  return scriptOf(readParts(parts));
}

export function scriptOf(source: string): Script {
  return { source, sha: createHash('sha1').update(source).digest('hex') };
}

export function readParts(parts: readonly string[]): string {
  return parts
    .map((part) => readFileSync(new URL(`./scripts/${part}.lua`, import.meta.url), 'utf8'))
    .join('\n');
}

/**
 * Runs a script by its hash. If Redis does not have the script (after a restart or SCRIPT FLUSH, or on a new server of a
 * cluster), its source is sent once. The error NOSCRIPT means that nothing ran, so no unit is counted twice.
 */
export function runScript(
  redis: RedisClient,
  script: Script,
  keys: readonly string[],
  args: readonly Argument[],
): Promise<unknown> {
  return runByHashFirst(
    () => redis.evalsha(script.sha, keys.length, ...keys, ...args),
    () => redis.eval(script.source, keys.length, ...keys, ...args),
  );
}

/** The same as `runScript` for a script whose reply is binary. */
export function runScriptForBytes(
  redis: RedisClient,
  script: Script,
  keys: readonly string[],
  args: readonly Argument[],
): Promise<unknown> {
  return runByHashFirst(
    () => redis.callBuffer('EVALSHA', script.sha, keys.length, ...keys, ...args),
    () => redis.callBuffer('EVAL', script.source, keys.length, ...keys, ...args),
  );
}

async function runByHashFirst(
  byHash: () => Promise<unknown>,
  bySource: () => Promise<unknown>,
): Promise<unknown> {
  try {
    return await byHash();
  } catch (error) {
    if (!(error instanceof Error) || !error.message.startsWith('NOSCRIPT')) throw error;
    return await bySource();
  }
}
