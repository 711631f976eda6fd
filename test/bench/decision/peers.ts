// Other libraries. Each contender's process loads only its own.
import { hash } from 'node:crypto';
import type { RequestListener } from 'node:http';
import type { RequestHandler } from 'express';
import type { FastifyInstance, FastifyReply } from 'fastify';
import { Redis } from 'ioredis';
import { unreachableLimit } from './contenders.ts';

/** @fastify/rate-limit with its Redis store. */
export async function guardWithFastifyRateLimit(server: FastifyInstance, url: string): Promise<void> {
  const { default: rateLimit } = await import('@fastify/rate-limit');
  await server.register(rateLimit, {
    max: unreachableLimit,
    timeWindow: 60_000,
    redis: new Redis(url),
    keyGenerator: (request) => request.headers['x-api-key'] as string,
  });
}

/** rate-limiter-flexible: three windows, each a call to Redis. */
export async function guardWithUnion(server: FastifyInstance, url: string): Promise<void> {
  const { RateLimiterRedis, RateLimiterUnion } = await import('rate-limiter-flexible');
  const storeClient = new Redis(url);
  const union = new RateLimiterUnion(
    ...[60, 3600, 86_400].map(
      (duration) =>
        new RateLimiterRedis({ storeClient, keyPrefix: `u${duration}`, points: unreachableLimit, duration }),
    ),
  );
  server.addHook('onRequest', (request, reply, done) => {
    union.consume(request.headers['x-api-key'] as string).then(
      (states) => {
        const state = states['u60']!;
        const resetAtMs = Date.now() + state.msBeforeNext;
        setHeaders(reply, unreachableLimit, state.remainingPoints, resetAtMs);
        done();
      },
      () => void reply.code(429).send(),
    );
  });
}

/** The part of @upstash/ratelimit that is called. */
interface Upstash {
  readonly Ratelimit: {
    new (options: object): {
      limit(key: string): Promise<{ success: boolean; limit: number; remaining: number; reset: number }>;
    };
    slidingWindow(limit: number, window: string): object;
  };
}

/**
 * @upstash/ratelimit with its sliding window. Its own client calls Upstash's REST API, which has the cost of HTTP: here the library
 * calls Redis by ioredis, which only favours it.
 */
export async function guardWithUpstash(server: FastifyInstance, url: string): Promise<void> {
  const { Ratelimit } = (await load('@upstash/ratelimit')) as Upstash;
  const limiter = new Ratelimit({
    redis: upstashClient(new Redis(url)),
    limiter: Ratelimit.slidingWindow(unreachableLimit, '60 s'),
    ephemeralCache: false,
  });
  server.addHook('onRequest', (request, reply, done) => {
    void limiter
      .limit(request.headers['x-api-key'] as string)
      .then(({ success, limit, remaining, reset }) => {
        setHeaders(reply, limit, remaining, reset);
        if (success) done();
        else void reply.code(429).send();
      });
  });
}

/** Runs the library's scripts without their first line, whose flag only Upstash's servers have. */
function upstashClient(redis: Redis): object {
  const shas = new Map<string, string>();
  return {
    evalsha(sha: string, keys: string[], args: string[]): Promise<unknown> {
      const own = shas.get(sha);
      if (own === undefined) return Promise.reject(new Error('NOSCRIPT'));
      return redis.evalsha(own, keys.length, ...keys, ...args);
    },
    async eval(script: string, keys: string[], args: string[]): Promise<unknown> {
      const own = String(await redis.script('LOAD', script.replace(/^#!.*/, '')));
      shas.set(hash('sha1', script), own);
      return redis.evalsha(own, keys.length, ...keys, ...args);
    },
  };
}

function setHeaders(reply: FastifyReply, limit: number, remaining: number, resetAtMs: number): void {
  reply.header('x-ratelimit-limit', limit);
  reply.header('x-ratelimit-remaining', remaining);
  reply.header('x-ratelimit-reset', Math.ceil(resetAtMs / 1000));
}

/** Express, bare or with express-rate-limit and its Redis store. */
export async function expressServer(url: string, isGuarded: boolean): Promise<RequestListener> {
  const { default: express } = await import('express');
  const app = express();
  app.disable('x-powered-by').disable('etag');
  if (isGuarded) app.use(await expressRateLimit(url));
  app.get('/', (_, response) => void response.json({ hello: 'world' }));
  return app as RequestListener;
}

async function expressRateLimit(url: string): Promise<RequestHandler> {
  const { rateLimit } = (await load('express-rate-limit')) as {
    readonly rateLimit: (options: object) => RequestHandler;
  };
  const { RedisStore } = (await load('rate-limit-redis')) as {
    RedisStore: new (options: object) => object;
  };
  const redis = new Redis(url);
  const sendCommand = (command: string, ...args: string[]): Promise<unknown> => redis.call(command, ...args);
  return rateLimit({
    ...{ windowMs: 60_000, limit: unreachableLimit, standardHeaders: true, legacyHeaders: false },
    keyGenerator: (request: { headers: Record<string, unknown> }) => String(request.headers['x-api-key']),
    store: new RedisStore({ sendCommand }),
  });
}

function load(name: string): Promise<unknown> {
  return import(name);
}
