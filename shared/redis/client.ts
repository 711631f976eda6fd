import { Cluster, Redis } from 'ioredis';
import { TollgateError, messageOf } from '../runtime/errors.ts';
import type { Logger } from '../runtime/logger.ts';
import type { ClockSource } from '../runtime/time/agreed-clock.ts';
import { within } from '../runtime/within.ts';

/** Client of a single Redis server or of a Redis Cluster. Code outside this folder works with both. */
export type RedisClient = Redis | Cluster;

/**
 * Commands are not queued while the connection is down, because a check without a reply in time is decided locally. Commands are
 * not sent again after a reconnect, because a script that counts must not run twice.
 */
const connectionOptions = {
  enableOfflineQueue: false,
  autoResendUnfulfilledCommands: false,
  maxRetriesPerRequest: 0,
  connectTimeout: 1000,
  keepAlive: 5000,
  protocol: 2,
} as const;

const reconnectDelayMsMax = 250;

/** Default time that a check waits for Redis, chosen so that a request is delayed by less than 50 ms in all. */
export const callTimeoutMsDefault = 35;

/**
 * `redis://[user:password@]host:port[/db]`, or several nodes of a cluster separated by commas.
 * Connects in the background and keeps reconnecting; errors are logged, never thrown.
 */
export function connectRedis(url: string, logger: Logger): RedisClient {
  const urls = url
    .split(',')
    .map((part) => part.trim())
    .filter((part) => part !== '');
  const client = urls.length > 1 ? connectCluster(urls) : connectOne(urls[0] ?? url);
  let lastMessage = '';
  client.on('error', (error: Error) => {
    // The same error occurs at every reconnect, four times a second: it is logged once.
    if (error.message !== lastMessage) logger.warn({ err: error }, 'redis connection');
    lastMessage = error.message;
  });
  client.on('ready', () => {
    lastMessage = '';
  });
  return client;
}

/**
 * Resolves with the reply of a call. Rejects with REDIS_UNAVAILABLE when the call fails or takes longer; Redis may have run the
 * call even so.
 */
export async function replyWithin<T>(call: Promise<T>, timeoutMs: number): Promise<T> {
  try {
    return await within(call, timeoutMs, 'REDIS_UNAVAILABLE', 'Redis');
  } catch (error) {
    if (error instanceof TollgateError) throw error;
    throw new TollgateError('REDIS_UNAVAILABLE', messageOf(error), { cause: error });
  }
}

/** True when keys of different hash tags may live on different servers. */
export function isCluster(client: RedisClient): client is Cluster {
  return client.isCluster;
}

/** Clock of the Redis server; on a cluster, of any of its servers. */
export function redisTime(redis: RedisClient): ClockSource {
  return {
    name: 'redis',
    read: async () => {
      const [seconds, micros] = await redis.time();
      return Number(seconds) * 1000 + Number(micros) / 1000;
    },
  };
}

function connectOne(url: string): Redis {
  return new Redis(url, { ...connectionOptions, retryStrategy: reconnectDelayMs });
}

function connectCluster(urls: readonly string[]): Cluster {
  const first = new URL(urls[0] ?? '');
  const nodes = urls.map((url) => {
    const { hostname, port } = new URL(url);
    return { host: hostname, port: Number(port === '' ? 6379 : port) };
  });
  return new Cluster(nodes, {
    enableOfflineQueue: false,
    clusterRetryStrategy: reconnectDelayMs,
    clusterNodeRetryStrategy: reconnectDelayMs,
    maxRedirections: 3,
    retryDelayOnFailover: 20,
    retryDelayOnClusterDown: 20,
    slotsRefreshTimeout: 1000,
    slotsRefreshInterval: 5000,
    redisOptions: {
      ...connectionOptions,
      ...(first.username === '' ? {} : { username: decodeURIComponent(first.username) }),
      ...(first.password === '' ? {} : { password: decodeURIComponent(first.password) }),
      ...(first.protocol === 'rediss:' ? { tls: {} } : {}),
    },
  });
}

function reconnectDelayMs(times: number): number {
  return Math.min(50 * times, reconnectDelayMsMax);
}
