import type { Logger } from '../../runtime/logger.ts';
import type { RedisClient } from '../client.ts';
import { reconnect, serverNameOf } from '../cluster/topology.ts';
import type { LimiterMetrics } from '../decision/metrics.ts';
import { createCircuitBreaker } from './circuit-breaker.ts';
import type { CircuitBreaker } from './circuit-breaker.ts';

/**
 * One circuit breaker for each Redis server (the single server, or each master of a cluster), so that the other servers stay in
 * use when one is unavailable.
 */
export interface ServerBreakers {
  /** Returns the breaker of the server that holds the keys of a hash tag. */
  readonly of: (tag: string) => CircuitBreaker;
  /** Number of servers whose breaker is open. */
  unavailable(): number;
  close(): void;
}

export interface ServerBreakersOptions {
  readonly redis: RedisClient;
  readonly keyPrefix: string;
  readonly callTimeoutMs: number;
  /**
   * Counts into a server the units that were admitted while it was unavailable. `isServed` returns true for the hash tags of this
   * server.
   */
  readonly catchUp: (isServed: (tag: string) => boolean) => Promise<void>;
  readonly metrics: Pick<LimiterMetrics, 'serversChanged'>;
  readonly logger: Logger;
}

export function createServerBreakers(options: ServerBreakersOptions): ServerBreakers {
  const { redis, keyPrefix, callTimeoutMs, metrics, logger } = options;
  const byName = new Map<string, CircuitBreaker>();
  const unavailable = (): number => [...byName.values()].filter((breaker) => breaker.isOpen()).length;
  return {
    of: breakerOf,
    unavailable,
    close: () => {
      for (const breaker of byName.values()) breaker.close();
    },
  };

  function breakerOf(tag: string): CircuitBreaker {
    const name = serverNameOf(redis, tag);
    let breaker = byName.get(name);
    if (breaker === undefined) byName.set(name, (breaker = create(name, tag)));
    return breaker;
  }

  /** Creates the breaker of a server. Its probe writes a key with `tag`, so the key is in a slot that checks use. */
  function create(name: string, tag: string): CircuitBreaker {
    return createCircuitBreaker({
      callTimeoutMs,
      probe: () => redis.set(`${keyPrefix}:${tag}:probe`, '1', 'PX', 1000),
      reconnect: () => reconnect(redis, name),
      catchUp: () => options.catchUp((other) => serverNameOf(redis, other) === name),
      onChange: (available, reason) => metrics.serversChanged(unavailable(), available, reason),
      logger: logger.child({ redis: name }),
    });
  }
}
