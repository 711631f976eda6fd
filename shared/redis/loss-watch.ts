import type { Redis } from 'ioredis';
import { isCluster, replyWithin } from './client.ts';
import type { RedisClient } from './client.ts';
import { readScript, runScript } from './scripts.ts';
import { nameOf, serverNameOf } from './cluster/topology.ts';

/** A server whose counters may be incomplete. */
export interface LostServer {
  readonly name: string;
  readonly runId: string;
  readonly markerKey: string;
  /**
   * Generation that the server gets by the rebuild: one above its highest known generation. A generation is the number of
   * rebuilds of a server's counters.
   */
  readonly generation: number;
}

/**
 * Detects that a Redis server lost counters, by its marker (a key with the server's run id and generation). If data was
 * deleted (FLUSHALL, a new disk), there is no marker. If the server restarted with its last saved data, or is a
 * promoted replica that was behind, the marker has another run id. If an older copy is in use again, the marker's
 * generation is below the highest known generation.
 */
export interface LossWatch {
  /** Resolves with the servers that lost counters. Rejects with REDIS_UNAVAILABLE when a server does not answer. */
  lost(): Promise<LostServer[]>;
  /**
   * Claims the rebuild of a server for this process. Resolves with `claimed_elsewhere` if another process rebuilds it, and with
   * `trusted` if its counters are already complete. A claim expires after `claimMs` unless it is renewed, so that another process
   * can take over when this one dies. The new generation is stored before this resolves: from then on, any older copy of the
   * server's data is detected.
   */
  claim(server: LostServer): Promise<'claimed' | 'claimed_elsewhere' | 'trusted'>;
  /**
   * Extends a claim. Resolves with `lost` if the claim was lost together with the server's data, and does not create it again, so
   * that `complete` detects the loss too.
   */
  renew(server: LostServer): Promise<'claimed' | 'lost'>;
  /**
   * Marks a server's counters as complete after the rebuild. Resolves with `lost` and marks nothing if the server lost its data
   * again during the rebuild.
   */
  complete(server: LostServer): Promise<'trusted' | 'lost'>;
}

/**
 * Stores the highest generation of each server's counters outside Redis, because an older copy of Redis's data does not contain
 * it.
 */
export interface Generations {
  /** Resolves with the highest stored generation; zero if none is stored. */
  read(markerKey: string): Promise<number>;
  /** Stores a generation. A lower generation that arrives later changes nothing. */
  write(markerKey: string, generation: number): Promise<void>;
}

export interface LossWatchOptions {
  readonly redis: RedisClient;
  readonly keyPrefix: string;
  /** Token that identifies this process in a claim; unique per process. */
  readonly token: string;
  readonly generations: Generations;
  readonly claimMs?: number;
  readonly timeoutMs?: number;
}

const script = readScript('marker');
/** Time to live of the marker. If it expires although no data was lost, one rebuild runs and raises no counter. */
const markerTtlMs = 7 * 86_400_000;
/**
 * To find a marker key in a slot of each server of a cluster, at most this many hash tags are tried. A server for which
 * no tag is found owns hardly any slots.
 */
const tagsMax = 1024;

export function createLossWatch(options: LossWatchOptions): LossWatch {
  const { redis, keyPrefix, token, generations, claimMs = 5_000, timeoutMs = 1_000 } = options;
  /** The highest generation that this process has read or stored, by marker key. Bounded by the number of servers. */
  const highestByMarker = new Map<string, number>();
  return {
    async lost() {
      const servers = serversOf(redis, keyPrefix);
      for (const { markerKey } of servers) if (!highestByMarker.has(markerKey)) await readStored(markerKey);
      const marks = await replyWithin(Promise.all(servers.map(readMark)), timeoutMs);
      return marks.map(lostServer).filter((server) => server !== null);
    },
    async claim(server) {
      const reply = await run<'claimed' | 'claimed_elsewhere' | 'trusted'>('claim', server, claimMs);
      if (reply === 'claimed') {
        await generations.write(server.markerKey, server.generation);
        raiseHighest(server.markerKey, server.generation);
      } else if (reply === 'claimed_elsewhere') {
        // Reads the generation that the rebuilding process stored: if that process dies, this one takes over.
        await readStored(server.markerKey);
      }
      return reply;
    },
    renew: async (server) => await run<'claimed' | 'lost'>('renew', server, claimMs),
    complete: async (server) => await run<'trusted' | 'lost'>('complete', server, markerTtlMs),
  };

  /**
   * Reads the stored generation, once for each marker. Generations that are stored later appear in the server's marker, which
   * every process reads.
   */
  async function readStored(markerKey: string): Promise<void> {
    raiseHighest(markerKey, await generations.read(markerKey));
  }

  function raiseHighest(markerKey: string, generation: number): number {
    const highest = Math.max(highestByMarker.get(markerKey) ?? 0, generation);
    highestByMarker.set(markerKey, highest);
    return highest;
  }

  function lostServer({ name, markerKey, runId, mark }: Mark): LostServer | null {
    const highest = raiseHighest(markerKey, mark?.generation ?? 0);
    if (mark?.runId === runId && mark.generation === highest) return null;
    return { name, runId, markerKey, generation: highest + 1 };
  }

  async function run<Reply extends string>(op: string, server: LostServer, ms: number): Promise<Reply> {
    const { markerKey, runId, generation } = server;
    const call = runScript(redis, script, [markerKey], [op, token, runId, generation, ms]);
    return (await replyWithin(call, timeoutMs)) as Reply;
  }
}

/** A server's marker and its current run id. */
interface Mark {
  readonly name: string;
  readonly markerKey: string;
  readonly runId: string;
  /** Content of the marker; null if there is no marker, or during a rebuild. */
  readonly mark: { readonly runId: string; readonly generation: number } | null;
}

async function readMark({ name, node, markerKey }: Server): Promise<Mark> {
  const [marker, information] = await Promise.all([node.get(markerKey), node.info('server')]);
  const runId = /^run_id:(\w+)/m.exec(information)?.[1] ?? 'unnamed';
  const [, markedRun, generation] = /^(\w+) (\d+)$/.exec(marker ?? '') ?? [];
  const mark = markedRun === undefined ? null : { runId: markedRun, generation: Number(generation) };
  return { name, markerKey, runId, mark };
}

interface Server {
  readonly name: string;
  readonly node: Redis;
  readonly markerKey: string;
}

/** Returns every server that holds counters, with a marker key in one of its slots. */
function serversOf(redis: RedisClient, keyPrefix: string): Server[] {
  const tagOf = (number: number) => `{=alive.${number}}`;
  if (!isCluster(redis)) return [{ name: 'redis', node: redis, markerKey: `${keyPrefix}:${tagOf(0)}` }];
  const servers: Server[] = [];
  const masters = new Map(redis.nodes('master').map((node) => [nameOf(node), node]));
  for (let number = 0; number < tagsMax && masters.size > 0; number += 1) {
    const owner = serverNameOf(redis, tagOf(number));
    const node = masters.get(owner);
    if (node === undefined) continue;
    servers.push({ name: owner, node, markerKey: `${keyPrefix}:${tagOf(number)}` });
    masters.delete(owner);
  }
  return servers;
}
