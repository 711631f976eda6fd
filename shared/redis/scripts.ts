import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import type { Redis } from 'ioredis';
import { isCluster } from './client.ts';
import type { RedisClient } from './client.ts';

export interface Script {
  readonly source: string;
  readonly sha: string;
}

type Argument = string | number | Buffer;

/** Reads a script that is joined from files of `scripts/`, in order: later files use the definitions of earlier files. */
export function readScript(...parts: readonly string[]): Script {
  const source = parts
    .map((part) => readFileSync(new URL(`./scripts/${part}.lua`, import.meta.url), 'utf8'))
    .join('\n');
  return { source, sha: createHash('sha1').update(source).digest('hex') };
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

/**
 * Loads the script on every server, now and after each reconnect, so that the first check does not wait for its compilation. If a
 * load fails, `runScript` sends the source later. Returns a function that stops loading.
 */
export function keepLoaded(redis: RedisClient, script: Script): () => void {
  const load = (server: Redis): void => {
    server.script('LOAD', script.source).catch(() => undefined);
  };
  if (!isCluster(redis)) {
    const loadHere = (): void => load(redis);
    if (redis.status === 'ready') loadHere();
    redis.on('ready', loadHere);
    return () => redis.off('ready', loadHere);
  }
  const follow = (server: Redis): void => {
    if (server.status === 'ready') load(server);
    else server.once('ready', () => load(server));
    // A cluster client connects to a server only at the first command for it. `connect` is called here, so that no check waits
    // for the connection.
    if (server.status === 'wait') server.connect().catch(() => undefined);
  };
  for (const server of redis.nodes('master')) follow(server);
  redis.on('+node', follow);
  return () => redis.off('+node', follow);
}
