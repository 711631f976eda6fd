import type { Redis } from 'ioredis';
import { messageOf } from '../runtime/errors.ts';
import type { Logger } from '../runtime/logger.ts';
import { isCluster } from './client.ts';
import type { RedisClient } from './client.ts';
import { nameOf, serverNameOf } from './cluster/topology.ts';
import { FunctionCall } from './function-call.ts';
import { readParts, runScriptForBytes, scriptOf } from './scripts.ts';
import type { Argument, Script } from './scripts.ts';

/** The same Lua source in two forms: a script, and a library with one function. */
export interface LibrarySource {
  readonly title: string;
  readonly script: Script;
  /** Name of the library and of its function. It contains the hash of the source, so versions do not replace each other. */
  readonly name: string;
  readonly source: string;
}

/** Runs a Lua source with a binary reply: as a function where the server has functions, else as a script. */
export interface ScriptLibrary {
  /** `tag` is the hash tag of the keys. */
  run(tag: string, keys: readonly string[], args: readonly Argument[]): Promise<unknown>;
  close(): void;
}

export interface ScriptLibraryOptions {
  readonly redis: RedisClient;
  readonly library: LibrarySource;
  /** False: only the script is used. */
  readonly useFunctions: boolean;
  readonly logger: Logger;
}

const namePrefix = 'tollgate_';
/** Least time between two attempts to load the library into a server that did not accept it. */
const reloadIntervalMs = 1_000;

/**
 * Errors of servers that have no functions, or do not permit them. Errors of a state that passes have other codes and similar texts
 * (`OOM command not allowed …`, `MISCONF … are disabled`): they do not match.
 */
const unsupported = /unknown (sub)?command|^NOPERM|^ERR .*(not (allowed|supported)|disabled)/i;
const lost = /^ERR Function not found/i;
const notCallable = /unknown (sub)?command|^NOPERM/i;

/** Reads a library from files of `scripts/`. The last file defines the function `main`, which returns the reply of a call. */
export function readLibrary(title: string, ...parts: readonly string[]): LibrarySource {
  const body = readParts(parts);
  const script = scriptOf(`${body}\nreturn main()\n`);
  const name = `${namePrefix}${title}_${script.sha.slice(0, 12)}`;
  // The body runs once, in the first call, because Redis gives the standard libraries of Lua only to calls. The functions and
  // tables of the body are then kept, which a script creates in every call.
  const source = `#!lua name=${name}
local KEYS, ARGV, run
local function build()
${body}
return main
end
redis.register_function('${name}', function(keys, args)
  KEYS, ARGV = keys, args
  run = run or build()
  return run()
end)
`;
  return { title, script, name, source };
}

export function createScriptLibrary(options: ScriptLibraryOptions): ScriptLibrary {
  const { redis, library, useFunctions, logger } = options;
  const servers = new Map<string, LoadState>();
  const unfollow = followServers(redis, (server) => {
    const state = stateOf(isCluster(redis) ? nameOf(server) : '');
    state.supported = useFunctions;
    void load(server, state).then((isNew) => (isNew ? deleteOtherVersions(server) : undefined));
  });
  return { run, close: unfollow };

  function run(tag: string, keys: readonly string[], args: readonly Argument[]): Promise<unknown> {
    const name = serverNameOf(redis, tag);
    const state = stateOf(name);
    if (state.loaded) return runFunction(name, state, keys, args);
    if (state.supported && performance.now() - state.triedAt > reloadIntervalMs) reload(name, state);
    return runScriptForBytes(redis, library.script, keys, args);
  }

  /**
   * If the server lost the library (FUNCTION FLUSH, a failover to a server without it), or does not permit FCALL, nothing ran, and
   * the same call runs the script.
   */
  async function runFunction(
    name: string,
    state: LoadState,
    keys: readonly string[],
    args: readonly Argument[],
  ): Promise<unknown> {
    try {
      return await callFunction(keys, args);
    } catch (error) {
      const message = messageOf(error);
      const isLost = lost.test(message);
      if (!isLost && !notCallable.test(message)) throw error;
      state.loaded = false;
      // A server that permits FUNCTION LOAD but not FCALL is not tried again before the next connection.
      state.supported = isLost;
      if (isLost) reload(name, state);
      return await runScriptForBytes(redis, library.script, keys, args);
    }
  }

  function callFunction(keys: readonly string[], args: readonly Argument[]): Promise<unknown> {
    return isCluster(redis)
      ? redis.callBuffer('FCALL', library.name, keys.length, ...keys, ...args)
      : (redis.sendCommand(new FunctionCall(library.name, keys, args)) as Promise<unknown>);
  }

  function reload(name: string, state: LoadState): void {
    const server = isCluster(redis) ? redis.nodes('master').find((node) => nameOf(node) === name) : redis;
    if (server !== undefined) void load(server, state);
  }

  /**
   * Loads the library; into a server without functions, the script, so that no check waits for its compilation. Resolves with
   * true if the server did not have the library before.
   */
  async function load(server: Redis, state: LoadState): Promise<boolean> {
    state.triedAt = performance.now();
    try {
      if (state.supported) {
        await server.call('FUNCTION', 'LOAD', library.source);
        return (state.loaded = true);
      }
    } catch (error) {
      const message = messageOf(error);
      state.loaded = message.includes('already exists');
      if (state.loaded) return false;
      state.supported = !unsupported.test(message);
      logger.info({ reason: message }, 'redis did not load a function: checks run as a script');
    }
    await server.script('LOAD', library.script.source).catch(() => undefined);
    return false;
  }

  /**
   * Deletes the libraries of other versions, which a server keeps for ever. Called only after a connection, not when a lost
   * library is loaded again: otherwise processes of two versions would delete each other's library again and again.
   */
  async function deleteOtherVersions(server: Redis): Promise<void> {
    try {
      const pattern = `${namePrefix}${library.title}_*`;
      const found = (await server.call('FUNCTION', 'LIST', 'LIBRARYNAME', pattern)) as unknown[][];
      const others = found.map(([, name]) => String(name)).filter((name) => name !== library.name);
      for (const name of others) await server.call('FUNCTION', 'DELETE', name);
    } catch (error) {
      logger.debug({ reason: messageOf(error) }, 'functions of other versions stay in redis');
    }
  }

  function stateOf(name: string): LoadState {
    let state = servers.get(name);
    if (state === undefined)
      servers.set(name, (state = { loaded: false, supported: useFunctions, triedAt: 0 }));
    return state;
  }
}

interface LoadState {
  loaded: boolean;
  supported: boolean;
  triedAt: number;
}

/** Calls `onReady` for every server, now and after each reconnect. Returns a function that stops it. */
function followServers(redis: RedisClient, onReady: (server: Redis) => void): () => void {
  if (!isCluster(redis)) {
    const ready = (): void => onReady(redis);
    if (redis.status === 'ready') ready();
    redis.on('ready', ready);
    return () => redis.off('ready', ready);
  }
  const follow = (server: Redis): void => {
    if (server.status === 'ready') onReady(server);
    else server.once('ready', () => onReady(server));
    // A cluster client connects to a server only at the first command for it. `connect` is called here, so that no check waits
    // for the connection.
    if (server.status === 'wait') server.connect().catch(() => undefined);
  };
  for (const server of redis.nodes('master')) follow(server);
  redis.on('+node', follow);
  return () => redis.off('+node', follow);
}
