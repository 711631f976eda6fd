import { Type } from 'typebox';

export const keyPrefixDefault = 'tg';

/** Environment variables of every process that uses Redis. */
export const redisVariables = {
  REDIS_URL: Type.String({
    default: 'redis://127.0.0.1:6379',
    description: 'Redis server; for a cluster, several of its nodes, comma-separated. `rediss://` uses TLS.',
  }),
  TOLLGATE_KEY_PREFIX: Type.String({
    default: keyPrefixDefault,
    description: 'First part of every Redis key. Keeps several installations apart in one Redis.',
  }),
};
