import type { Limit } from '../../../shared/domain/limit.ts';
import type { CheckRequest } from '../../../shared/redis/decision/check.ts';
import { connectRedis, isCluster } from '../../../shared/redis/client.ts';
import type { RedisClient } from '../../../shared/redis/client.ts';
import { createLimiter } from '../../../shared/redis/decision/limiter.ts';
import type { Limiter, LimiterOptions } from '../../../shared/redis/decision/limiter.ts';
import { createServerBreakers } from '../../../shared/redis/fallback/server-breakers.ts';
import type { ServerBreakers } from '../../../shared/redis/fallback/server-breakers.ts';
import { createLogger } from '../../../shared/runtime/logger.ts';
import { Registry } from 'prom-client';

export const logger = createLogger('test', 'silent');

export async function connected(url: string): Promise<RedisClient> {
  const redis = connectRedis(url, logger);
  if (redis.status !== 'ready') await new Promise((resolve) => redis.once('ready', resolve));
  if (isCluster(redis)) await Promise.all(redis.nodes('master').map((server) => server.ping()));
  return redis;
}

export function limiterOn(
  redis: RedisClient,
  keyPrefix: string,
  options: Partial<LimiterOptions> = {},
): Limiter {
  const clock = { now: () => Date.now() };
  // A long timeout, so that decisions do not depend on the load of this machine. Other tests make Redis late on
  // purpose.
  const callTimeoutMs = 10_000;
  return createLimiter({
    redis,
    keyPrefix,
    clock,
    registry: new Registry(),
    logger,
    callTimeoutMs,
    ...options,
  });
}

/** Circuit breakers for Redis calls that are not made by a limiter. */
export function breakersOn(redis: RedisClient, keyPrefix: string, callTimeoutMs = 10_000): ServerBreakers {
  return createServerBreakers({
    ...{ redis, keyPrefix, callTimeoutMs, logger },
    catchUp: () => Promise.resolve(),
    metrics: { serversChanged: () => undefined },
  });
}

export function limitOf(changes: Partial<Limit>): Limit {
  return {
    name: 'minute',
    of: 'requests',
    per: ['tenant'],
    type: 'sliding',
    limit: 10,
    windowMs: 60_000,
    period: null,
    burst: 0,
    mode: 'enforce',
    route: null,
    ...changes,
  };
}

export function requestOf(limits: readonly Limit[], changes: Partial<CheckRequest> = {}): CheckRequest {
  return { tenantId: 'acme', userId: 'ann', ip: '192.0.2.1', limits, cost: 1, peek: false, ...changes };
}
