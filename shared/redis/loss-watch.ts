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
  /** The generation after a rebuild: above every known generation of this server. */
  readonly generation: number;
}

/**
 * Detects a loss of counters: deleted data (FLUSHALL, a new disk), a server that restarted with its last saved data, a promoted
 * replica that lagged, or an older copy in use again. In the first three cases the marker does not name the server's current
 * run; in the last its generation is below the highest known one.
 */
export interface LossWatch {
  /** Servers that lost counters. Rejects with REDIS_UNAVAILABLE when a server does not answer. */
  lost(): Promise<LostServer[]>;
  /**
   * Claims the rebuild of a server. `claimed_elsewhere`: another process rebuilds it. A claim ends by itself after `claimMs`,
   * so that another process takes over from one that died. The new generation is stored before this resolves: from then on
   * the copy that was in use before counts as older.
   */
  claim(server: LostServer): Promise<'claimed' | 'claimed_elsewhere' | 'trusted'>;
  /** Extends a claim. A claim that was lost with the data is not created again, so that `complete` detects the loss. */
  renew(server: LostServer): Promise<'claimed' | 'lost'>;
  /** Marks a server's counters as complete. `lost`: its data was lost again in between, so they are not marked. */
  complete(server: LostServer): Promise<'trusted' | 'lost'>;
}

/** The highest generation of each server's counters, stored outside Redis: an older copy of Redis cannot detect that it is one. */
export interface Generations {
  /** Zero where no generation is stored. */
  read(markerKey: string): Promise<number>;
  /** The highest generation stays, in whatever order writes arrive. */
  write(markerKey: string, generation: number): Promise<void>;
}

export interface LossWatchOptions {
  readonly redis: RedisClient;
  readonly keyPrefix: string;
  /** Unique per process. */
  readonly token: string;
  readonly generations: Generations;
  readonly claimMs?: number;
  readonly timeoutMs?: number;
}

const script = readScript('marker');
/** A marker that expires costs one rebuild that raises no counter. */
const markerTtlMs = 7 * 86_400_000;
/** Number of tags that are tried until each server of a cluster owns the slot of one. A server without any of them owns hardly any slots. */
const tagsMax = 1024;

export function createLossWatch(options: LossWatchOptions): LossWatch {
  const { redis, keyPrefix, token, generations, claimMs = 5_000, timeoutMs = 1_000 } = options;
  /** The highest generation read or stored, by marker. Bounded by the number of servers. */
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
        // If that process dies, this one needs the generation that it stored.
        await readStored(server.markerKey);
      }
      return reply;
    },
    renew: async (server) => await run<'claimed' | 'lost'>('renew', server, claimMs),
    complete: async (server) => await run<'trusted' | 'lost'>('complete', server, markerTtlMs),
  };

  /** Later generations are in the server's marker, which every process reads. */
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

/** The marker of a server and the server's current run. */
interface Mark {
  readonly name: string;
  readonly markerKey: string;
  readonly runId: string;
  /** Null without a marker, or during a rebuild. */
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

/** Every server that holds counters, with a key in one of its slots. */
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
