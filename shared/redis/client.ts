import { Cluster, Redis } from 'ioredis';
import type { Logger } from '../runtime/logger.ts';

/** One server or a cluster: everything above this file takes either. */
export type RedisClient = Redis | Cluster;

/**
 * Nothing is queued while the connection is away and nothing is sent twice: a decision that does not arrive in time
 * is made locally, and a script that counts must not run again on reconnect.
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
    // A server that is away repeats itself every quarter of a second; one line says it.
    if (error.message !== lastMessage) logger.warn({ err: error }, 'redis connection');
    lastMessage = error.message;
  });
  client.on('ready', () => {
    lastMessage = '';
  });
  return client;
}

/** True when keys of different hash tags may live on different servers. */
export function isCluster(client: RedisClient): client is Cluster {
  return client.isCluster;
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
