import { Cluster, Redis } from 'ioredis';
import { TollgateError, messageOf } from '../runtime/errors.ts';
import type { Logger } from '../runtime/logger.ts';
import type { ClockSource } from '../runtime/time/agreed-clock.ts';
import { within } from '../runtime/within.ts';

/** One server or a cluster: all code outside this folder uses either. */
export type RedisClient = Redis | Cluster;

/**
 * Commands are neither queued while the connection is down nor sent twice: a decision without a reply in time is made locally,
 * and a script that counts must not run again after a reconnect.
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

/** How long a decision waits for Redis by default: with all other work it delays a request by less than 50 ms. */
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
    // The error repeats at every reconnect, each quarter of a second: it is logged once.
    if (error.message !== lastMessage) logger.warn({ err: error }, 'redis connection');
    lastMessage = error.message;
  });
  client.on('ready', () => {
    lastMessage = '';
  });
  return client;
}

/** The reply of a call, or REDIS_UNAVAILABLE when it fails or takes longer. A call that is too late may still have run. */
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

/** The clock of the Redis server; on a cluster that of any one server. */
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
