// One contender in its own process: node server.ts <contender> <redis url>. Prints its port and ends with its parent.
import { fastify } from 'fastify';
import type { FastifyInstance } from 'fastify';
import rateLimit from '@fastify/rate-limit';
import { Redis } from 'ioredis';
import { Registry } from 'prom-client';
import { RateLimiterRedis, RateLimiterUnion } from 'rate-limiter-flexible';
import { Enforcer } from '../../../services/gateway/enforcer/enforcer.ts';
import type { KeyHolder } from '../../../shared/domain/tenant.ts';
import { tollgate } from '../../../services/gateway/entrypoints/plugin.ts';
import { parsePolicy } from '../../../shared/policy/load.ts';
import { connectRedis } from '../../../shared/redis/client.ts';
import { createConcurrency } from '../../../shared/redis/leases/concurrency.ts';
import { createLimiter } from '../../../shared/redis/decision/limiter.ts';
import { systemClock } from '../../../shared/runtime/time/clock.ts';
import { createLogger } from '../../../shared/runtime/logger.ts';
import { limitOf } from '../../integration/redis/limiters.ts';
import { exact, isContender, unreachableLimit } from './contenders.ts';
import type { Contender } from './contenders.ts';

const [contender, redisUrl] = process.argv.slice(2);
if (contender === undefined || redisUrl === undefined || !isContender(contender)) {
  throw new Error('node server.ts <contender> <redis url>');
}
const app = fastify();
await guard(app, contender, redisUrl);
app.get('/', () => ({ hello: 'world' }));
await app.listen({ host: '127.0.0.1', port: 0 });
const address = app.server.address();
process.stdout.write(`${typeof address === 'object' ? (address?.port ?? 0) : 0}\n`);
process.stdin.on('close', () => process.exit(0)).resume();

async function guard(server: FastifyInstance, name: Contender, url: string): Promise<void> {
  switch (name) {
    case 'bare':
    case 'bare again':
      return;
    case 'tollgate':
      await guardWithTollgate(server, url);
      return;
    case 'tollgate exact':
      await guardWithTollgate(server, url, exact);
      return;
    case 'tollgate leased':
      await guardWithTollgate(server, url, { tenants: 1 });
      return;
    case 'limiter only':
      await guardWithLimiter(server, url);
      return;
    case 'fastify-rate-limit':
      await server.register(rateLimit, {
        max: unreachableLimit,
        timeWindow: 60_000,
        redis: new Redis(url),
        keyGenerator: (request) => request.headers['x-api-key'] as string,
      });
      return;
    case 'flexible union':
      guardWithUnion(server, url);
  }
}

interface Windows {
  readonly limit?: number;
  readonly windows?: readonly [string, string];
  readonly tenants?: number;
  /** Number of API keys, which belong to the tenants in turn. */
  readonly keys?: number;
}

async function guardWithTollgate(
  server: FastifyInstance,
  url: string,
  {
    limit = unreachableLimit,
    windows = ['1m', '1h'],
    tenants = 100,
    keys = Math.max(tenants, 100),
  }: Windows = {},
): Promise<void> {
  const { redis, registry, logger, limiter } = await connect(url, tenants === 1);
  const text = `
version: 1
links: { documentation: https://docs.example.com, upgrade: https://example.com }
identity: { anonymous: reject }
default_plan: bench
plans:
  bench:
    limits:
      - { name: short, per: tenant, limit: ${limit}, window: ${windows[0]} }
      - { name: long, per: tenant, limit: ${limit}, window: ${windows[1]} }
      - { name: day, per: tenant, limit: ${unreachableLimit}, window: 1d, type: quota }
platform:
  limits: [{ name: platform, per: global, type: concurrent, limit: 1000 }]
mode: enforce
`;
  const policy = parsePolicy('bench.yaml', text, {});
  const holders = new Map<string, KeyHolder>();
  for (let index = 0; index < keys; index += 1) {
    const { createHash } = await import('node:crypto');
    const record = { tenant_id: `tenant-${index % tenants}`, updated_at: '', updated_by: '' };
    const holder = { record, key: { sha256: '' }, expiresAtMs: Infinity };
    holders.set(createHash('sha256').update(`tgk_${index}`).digest('hex'), holder);
  }
  const node = 'bench';
  const concurrency = createConcurrency({
    redis,
    keyPrefix: 'bench',
    node,
    nodes: () => 1,
    breakerOf: limiter.breakerOf,
    clock: systemClock,
    registry,
    logger,
  });
  const enforcer = new Enforcer({
    policy: () => policy,
    limiter,
    concurrency,
    records: { get: () => null, byApiKeyHash: (digest) => holders.get(digest), ready: () => true },
    events: { append: () => 0, flushed: () => Promise.resolve() },
    node,
    clock: systemClock,
    logger,
    registry,
  });
  await server.register(tollgate, { enforcer });
}

/**
 * A hook that only makes the decision and sets three headers. The difference between this contender and `tollgate`
 * is the cost of the gateway's other code.
 */
async function guardWithLimiter(server: FastifyInstance, url: string): Promise<void> {
  const { limiter } = await connect(url);
  const limits = [
    limitOf({ name: 'short', limit: unreachableLimit, windowMs: 60_000 }),
    limitOf({ name: 'long', limit: unreachableLimit, windowMs: 3_600_000 }),
    limitOf({ name: 'day', type: 'quota', period: 'day', limit: unreachableLimit, windowMs: 86_400_000 }),
  ];
  server.addHook('onRequest', (request, reply, done) => {
    const tenantId = request.headers['x-api-key'] as string;
    void limiter
      .check({ tenantId, userId: null, ip: '192.0.2.1', limits, cost: 1, peek: false })
      .then(({ passed, states }) => {
        const state = states[0]!;
        reply.header('x-ratelimit-limit', state.limit);
        reply.header('x-ratelimit-remaining', state.remaining);
        reply.header('x-ratelimit-reset', Math.ceil(state.resetAtMs / 1000));
        if (passed) done();
        else void reply.code(429).send();
      });
  });
}

async function connect(url: string, leaseUnits = false) {
  const logger = createLogger('bench', 'warn');
  const redis = connectRedis(url, logger);
  await new Promise((resolve) => redis.once('ready', resolve));
  const registry = new Registry();
  const limiter = createLimiter({
    redis,
    keyPrefix: 'bench',
    node: 'bench',
    clock: systemClock,
    registry,
    logger,
    leaseUnits,
  });
  return { redis, registry, logger, limiter };
}

function guardWithUnion(server: FastifyInstance, url: string): void {
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
        reply.header('x-ratelimit-limit', unreachableLimit);
        reply.header('x-ratelimit-remaining', state.remainingPoints);
        reply.header('x-ratelimit-reset', Math.ceil((Date.now() + state.msBeforeNext) / 1000));
        done();
      },
      () => void reply.code(429).send(),
    );
  });
}
