import type { Redis } from 'ioredis';
import { isCluster } from '../client.ts';
import type { RedisClient } from '../client.ts';

/** CRC-16/XMODEM (polynomial 0x1021), with which the Redis Cluster specification assigns keys to slots. */
const crcTable = new Uint16Array(256).map((_, byte) => {
  let crc = byte << 8;
  for (let bit = 0; bit < 8; bit += 1) crc = (crc & 0x8000) !== 0 ? (crc << 1) ^ 0x1021 : crc << 1;
  return crc;
});

const slotCount = 16384;

/** The slot of all keys with a hash tag. The tag includes its braces: `{tag}`. */
export function slotOf(tag: string): number {
  const bytes = Buffer.from(tag.slice(1, -1));
  let crc = 0;
  for (const byte of bytes) crc = ((crc << 8) & 0xffff) ^ (crcTable[((crc >> 8) ^ byte) & 0xff] ?? 0);
  return crc % slotCount;
}

/** `host:port` of the master that holds the keys of a tag; the empty string for a single server. */
export function serverNameOf(redis: RedisClient, tag: string): string {
  return isCluster(redis) ? (redis.slots[slotOf(tag)]?.[0] ?? '') : '';
}

/** Returns `host:port` of a server. A cluster client's `slots` name the server in the same way. */
export function nameOf({ options }: Redis): string {
  return `${options.host ?? ''}:${options.port ?? 6379}`;
}

/** Drops the connections to one server, which may be dead, and opens new ones. */
export function reconnect(redis: RedisClient, serverName: string): void {
  if (!isCluster(redis)) {
    redis.disconnect(true);
    return;
  }
  for (const server of redis.nodes('all')) if (nameOf(server) === serverName) server.disconnect(true);
  redis.refreshSlotsCache(() => undefined);
}
