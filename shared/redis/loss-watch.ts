import type { Redis } from 'ioredis';
import { isCluster, replyWithin } from './client.ts';
import type { RedisClient } from './client.ts';
import { readScript, runScript } from './scripts.ts';
import { nameOf, serverNameOf } from './cluster/topology.ts';

/** A server whose counters are not known to be right. */
export interface LostServer {
  readonly name: string;
  readonly runId: string;
  readonly markerKey: string;
  /** The generation that a rebuild brings: above every one known of this server. */
  readonly generation: number;
}

/**
 * Detects a loss of counters: data wiped (FLUSHALL, a new disk), a server restarted with what it had saved last, a
 * promoted replica that lags, or an older copy in use again. The first three show as a marker that does not name the
 * server's current run, the last as a marker of a generation below the highest known.
 */
export interface LossWatch {
  /** Servers that hold counters and cannot be trusted. Rejects with REDIS_UNAVAILABLE when one does not answer. */
  lost(): Promise<LostServer[]>;
  /**
   * Takes on the rebuild of a server. `taken`: another process rebuilds it. A claim ends by itself after `claimMs`, so
   * that a rebuilder that died is replaced. The new generation is stored before this resolves: from then on the copy
   * that was in use before is known to be older.
   */
  claim(server: LostServer): Promise<'claimed' | 'taken' | 'trusted'>;
  /** Makes a claim last. One that was lost together with the data is not made anew: `complete` has to notice. */
  renew(server: LostServer): Promise<'claimed' | 'lost'>;
  /** Declares a server's counters right. `lost`: its data was lost once more in between, so nothing is declared. */
  complete(server: LostServer): Promise<'trusted' | 'lost'>;
}

/** The highest generation of each server's counters, kept outside Redis: Redis cannot say that it is an older copy. */
export interface Generations {
  /** Zero where none was stored. */
  read(markerKey: string): Promise<number>;
  /** The highest stands, whatever the order of writes. */
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
/** A marker that runs out costs a rebuild that finds nothing to raise. */
const markerTtlMs = 7 * 86_400_000;
/** Tags tried until every server of a cluster has one in its slots; a server with no slot of these has hardly any. */
const tagsMax = 1024;

export function createLossWatch(options: LossWatchOptions): LossWatch {
  const { redis, keyPrefix, token, generations, claimMs = 5_000, timeoutMs = 1_000 } = options;
  /** The highest generation seen or stored, by marker. As many as there are servers. */
  const known = new Map<string, number>();
  return {
    async lost() {
      const servers = serversOf(redis, keyPrefix);
      for (const { markerKey } of servers) if (!known.has(markerKey)) await readStored(markerKey);
      const marks = await replyWithin(Promise.all(servers.map(readMark)), timeoutMs);
      return marks.map(lostServer).filter((server) => server !== null);
    },
    async claim(server) {
      const answer = await run<'claimed' | 'taken' | 'trusted'>('claim', server, claimMs);
      if (answer === 'claimed') {
        await generations.write(server.markerKey, server.generation);
        raiseKnown(server.markerKey, server.generation);
      } else if (answer === 'taken') {
        // Should that process die, this one knows what it stored.
        await readStored(server.markerKey);
      }
      return answer;
    },
    renew: async (server) => await run<'claimed' | 'lost'>('renew', server, claimMs),
    complete: async (server) => await run<'trusted' | 'lost'>('complete', server, markerTtlMs),
  };

  /** Later ones are seen in the server's marker, by every process that looks. */
  async function readStored(markerKey: string): Promise<void> {
    raiseKnown(markerKey, await generations.read(markerKey));
  }

  function raiseKnown(markerKey: string, generation: number): number {
    const highest = Math.max(known.get(markerKey) ?? 0, generation);
    known.set(markerKey, highest);
    return highest;
  }

  function lostServer({ name, markerKey, runId, mark }: Mark): LostServer | null {
    const highest = raiseKnown(markerKey, mark?.generation ?? 0);
    if (mark?.runId === runId && mark.generation === highest) return null;
    return { name, runId, markerKey, generation: highest + 1 };
  }

  async function run<Answer extends string>(op: string, server: LostServer, ms: number): Promise<Answer> {
    const { markerKey, runId, generation } = server;
    const answer = runScript(redis, script, [markerKey], [op, token, runId, generation, ms]);
    return (await replyWithin(answer, timeoutMs)) as Answer;
  }
}

interface Mark {
  readonly name: string;
  readonly markerKey: string;
  readonly runId: string;
  /** Null: none, or one of a rebuild that runs. */
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

/** Every server that holds counters, with a key that lives on it. */
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
