import type { ClockSource } from '../runtime/time/agreed-clock.ts';
import type { RedisClient } from './client.ts';

/** The clock of a Redis server, on a cluster of any one of them. */
export function redisTime(redis: RedisClient): ClockSource {
  return {
    name: 'redis',
    read: async () => {
      const [seconds, micros] = await redis.time();
      return Number(seconds) * 1000 + Number(micros) / 1000;
    },
  };
}
