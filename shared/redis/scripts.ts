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
export function runScript(
  redis: RedisClient,
  script: Script,
  keys: readonly string[],
  args: readonly Argument[],
): Promise<unknown> {
  return sparingSource(
    () => redis.evalsha(script.sha, keys.length, ...keys, ...args),
    () => redis.eval(script.source, keys.length, ...keys, ...args),
  );
}

/** The same for a script that answers bytes. */
export function runScriptForBytes(
  redis: RedisClient,
  script: Script,
  keys: readonly string[],
  args: readonly Argument[],
): Promise<unknown> {
  return sparingSource(
    () => redis.callBuffer('EVALSHA', script.sha, keys.length, ...keys, ...args),
    () => redis.callBuffer('EVAL', script.source, keys.length, ...keys, ...args),
  );
}

async function sparingSource(
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
 * Gives every server the script before traffic needs it, now and after each reconnect, so that no first check pays for
 * its compilation. What fails here is made up for by `runScript`. Answers how to stop.
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
    // A cluster connects to a node when the first command needs it: that must not be a check.
    if (server.status === 'wait') server.connect().catch(() => undefined);
  };
  for (const server of redis.nodes('master')) follow(server);
  redis.on('+node', follow);
  return () => redis.off('+node', follow);
}
