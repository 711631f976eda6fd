import type { Logger } from '../../runtime/logger.ts';
import { isCluster } from '../client.ts';
import type { RedisClient } from '../client.ts';
import { createCircuitBreaker } from '../fallback/circuit-breaker.ts';
import type { CircuitBreaker } from '../fallback/circuit-breaker.ts';
import type { LimiterMetrics } from '../decision/metrics.ts';
import { slotOf } from './slots.ts';

/** One Redis server that decides: the only one, or a master of a cluster. One being away leaves the others alone. */
export interface Shard {
  readonly breaker: CircuitBreaker;
}

export interface Shards {
  of(tag: string): Shard;
  away(): number;
  close(): void;
}

export interface ShardsOptions {
  readonly redis: RedisClient;
  readonly keyPrefix: string;
  readonly callTimeoutMs: number;
  /** Puts right what a server missed while it was away; `served` says which tags are its own. */
  readonly catchUp: (served: (tag: string) => boolean) => Promise<void>;
  readonly metrics: LimiterMetrics;
  readonly logger: Logger;
}

export function createShards(options: ShardsOptions): Shards {
  const { redis, keyPrefix, callTimeoutMs, metrics, logger } = options;
  const byName = new Map<string, Shard>();
  const close = (): void => {
    for (const { breaker } of byName.values()) breaker.close();
  };
  const away = (): number => [...byName.values()].filter(({ breaker }) => breaker.isOpen()).length;
  return { of, away, close };

  function of(tag: string): Shard {
    const name = nameOf(tag);
    let shard = byName.get(name);
    if (shard === undefined) byName.set(name, (shard = create(name, tag)));
    return shard;
  }

  /** Probes with a key of the tag that was first sent there: a write to the very slots that the checks need. */
  function create(name: string, tag: string): Shard {
    const breaker = createCircuitBreaker({
      callTimeoutMs,
      probe: () => redis.set(`${keyPrefix}:${tag}:probe`, '1', 'PX', 1000),
      reconnect: () => reconnect(redis, name),
      catchUp: () => options.catchUp((other) => nameOf(other) === name),
      onChange: (available, reason) => {
        metrics.changed(away(), available, reason);
      },
      logger: logger.child({ redis: name }),
    });
    return { breaker };
  }

  function nameOf(tag: string): string {
    return isCluster(redis) ? (redis.slots[slotOf(tag)]?.[0] ?? '') : '';
  }
}

function reconnect(redis: RedisClient, name: string): void {
  if (!isCluster(redis)) {
    redis.disconnect(true);
    return;
  }
  for (const node of redis.nodes('all')) {
    if (`${node.options.host ?? ''}:${String(node.options.port ?? '')}` === name) node.disconnect(true);
  }
  redis.refreshSlotsCache(() => undefined);
}
