import type { Redis } from 'ioredis';
import { isCluster } from './client.ts';
import type { RedisClient } from './client.ts';
import { within } from './deadline.ts';
import { readScript, runScript } from './scripts.ts';
import { slotOf } from './slots.ts';

/** A server whose counters are not known to be right. */
export interface LostServer {
  readonly name: string;
  readonly runId: string;
  readonly markerKey: string;
}

/**
 * Tells when counters were lost: data wiped (FLUSHALL, a new disk), a server restarted with what it had saved last, or
 * a replica promoted that lags. All three show as a marker that does not name the server's current run.
 */
export interface LossWatch {
  /** Servers that hold counters and cannot be trusted. Rejects with REDIS_UNAVAILABLE when one does not answer. */
  lost(): Promise<LostServer[]>;
  /**
   * Takes on the rebuild of a server. `taken`: somebody else is at it. A claim ends by itself after `claimMs`, so that
   * a rebuilder that died is replaced.
   */
  claim(server: LostServer): Promise<'claimed' | 'taken' | 'trusted'>;
  /** Makes a claim last. One that was lost together with the data is not made anew: `complete` has to notice. */
  renew(server: LostServer): Promise<'claimed' | 'lost'>;
  /** Declares a server's counters right. `lost`: its data was lost once more in between, so nothing is declared. */
  complete(server: LostServer): Promise<'trusted' | 'lost'>;
}

export interface LossWatchOptions {
  readonly redis: RedisClient;
  readonly keyPrefix: string;
  /** Unique per process. */
  readonly token: string;
  readonly claimMs?: number;
  readonly timeoutMs?: number;
}

const script = readScript('marker');
/** A marker that runs out costs a rebuild that finds nothing to raise. */
const markerTtlMs = 7 * 86_400_000;
/** Tags tried until every server of a cluster has one in its slots; a server with no slot of these has hardly any. */
const tagsMax = 1024;

export function createLossWatch(options: LossWatchOptions): LossWatch {
  const { redis, keyPrefix, token, claimMs = 5_000, timeoutMs = 1_000 } = options;
  return {
    lost: () => within(findLost(), timeoutMs),
    claim: async (server) => await run<'claimed' | 'taken' | 'trusted'>('claim', server, claimMs),
    renew: async (server) => await run<'claimed' | 'lost'>('renew', server, claimMs),
    complete: async (server) => await run<'trusted' | 'lost'>('complete', server, markerTtlMs),
  };

  async function findLost(): Promise<LostServer[]> {
    const servers = await Promise.all(serversOf(redis, keyPrefix).map(look));
    return servers.filter((server) => server !== null);
  }

  async function run<Answer extends string>(op: string, server: LostServer, ms: number): Promise<Answer> {
    const answer = runScript(redis, script, [server.markerKey], [op, token, server.runId, ms]);
    return (await within(answer, timeoutMs)) as Answer;
  }
}

async function look({ name, node, markerKey }: Server): Promise<LostServer | null> {
  const [marker, information] = await Promise.all([node.get(markerKey), node.info('server')]);
  const runId = /^run_id:(\w+)/m.exec(information)?.[1] ?? 'unnamed';
  return marker === runId ? null : { name, runId, markerKey };
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
    const owner = redis.slots[slotOf(tagOf(number))]?.[0] ?? '';
    const node = masters.get(owner);
    if (node === undefined) continue;
    servers.push({ name: owner, node, markerKey: `${keyPrefix}:${tagOf(number)}` });
    masters.delete(owner);
  }
  return servers;
}

function nameOf({ options }: Redis): string {
  return `${options.host ?? ''}:${options.port ?? 6379}`;
}
