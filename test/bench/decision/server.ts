// One contender in its own process: node server.ts <contender> <redis url>. Prints its port and ends with its parent.
import { createHash } from 'node:crypto';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { fastify } from 'fastify';
import type { FastifyInstance } from 'fastify';
import { Registry } from 'prom-client';
import { Enforcer } from '../../../services/gateway/enforcer/enforcer.ts';
import type { KeyHolder } from '../../../shared/domain/tenant.ts';
import { tollgate } from '../../../services/gateway/entrypoints/plugin.ts';
import { parsePolicy } from '../../../shared/policy/load.ts';
import { connectRedis } from '../../../shared/redis/client.ts';
import { createConcurrency } from '../../../shared/redis/leases/concurrency.ts';
import { createLimiter } from '../../../shared/redis/decision/limiter.ts';
import { systemClock } from '../../../shared/runtime/time/clock.ts';
import { createLogger } from '../../../shared/runtime/logger.ts';
import { exact, hot, isContender, unreachableLimit } from './contenders.ts';
import type { Contender } from './contenders.ts';
import { expressServer, guardWithFastifyRateLimit, guardWithUnion, guardWithUpstash } from './peers.ts';

const [contender, redisUrl] = process.argv.slice(2);
if (contender === undefined || redisUrl === undefined || !isContender(contender)) {
  throw new Error('node server.ts <contender> <redis url>');
}
/** Each process has keys of its own, so that no process continues the windows of another. */
const keyPrefix = `bench-${process.pid}`;
const address = await serve(contender, redisUrl);
process.stdout.write(`${typeof address === 'object' ? (address?.port ?? 0) : 0}\n`);
process.stdin.on('close', () => process.exit(0)).resume();

async function serve(name: Contender, url: string): Promise<AddressInfo | string | null> {
  if (name === 'bare express' || name === 'express-rate-limit') {
    const server = createServer(await expressServer(url, name === 'express-rate-limit'));
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    return server.address();
  }
  const app = fastify();
  await guard(app, name, url);
  app.get('/', () => ({ hello: 'world' }));
  await app.listen({ host: '127.0.0.1', port: 0 });
  return app.server.address();
}

async function guard(server: FastifyInstance, name: Contender, url: string): Promise<void> {
  switch (name) {
    case 'tollgate':
      return guardWithTollgate(server, url, {});
    case 'tollgate without leases':
      return guardWithTollgate(server, url, { lease: false });
    case 'tollgate exact':
      return guardWithTollgate(server, url, exact);
    case 'tollgate hot tenant':
      return guardWithTollgate(server, url, hot);
    case 'fastify-rate-limit':
      return guardWithFastifyRateLimit(server, url);
    case 'flexible union':
      return guardWithUnion(server, url);
    case 'upstash':
      return guardWithUpstash(server, url);
    default:
      return;
  }
}

interface Windows {
  readonly limits?: readonly [number, number];
  readonly windows?: readonly [string, string];
  /** Number of tenants, each with the API key `tgk_<index>`. */
  readonly tenants?: number;
  readonly lease?: boolean;
}

async function guardWithTollgate(
  server: FastifyInstance,
  url: string,
  {
    limits = [unreachableLimit, unreachableLimit],
    windows = ['1m', '1h'],
    tenants = 100,
    lease = true,
  }: Windows,
): Promise<void> {
  const { redis, registry, logger, limiter } = await connect(url);
  const text = `
version: 1
links: { documentation: https://docs.example.com, upgrade: https://example.com }
identity: { anonymous: reject }
default_plan: bench
plans:
  bench:
    limits:
      - { name: short, per: tenant, limit: ${limits[0]}, window: ${windows[0]}, lease: ${lease} }
      - { name: long, per: tenant, limit: ${limits[1]}, window: ${windows[1]}, lease: ${lease} }
      - { name: day, per: tenant, limit: ${unreachableLimit}, window: 1d, type: quota }
platform:
  limits: [{ name: platform, per: global, type: concurrent, limit: 1000 }]
mode: enforce
`;
  const policy = parsePolicy('bench.yaml', text, {});
  const holders = new Map<string, KeyHolder>();
  for (let index = 0; index < tenants; index += 1) {
    const record = { tenant_id: `tenant-${index}`, updated_at: '', updated_by: '' };
    const holder = { record, key: { sha256: '' }, expiresAtMs: Infinity };
    holders.set(createHash('sha256').update(`tgk_${index}`).digest('hex'), holder);
  }
  const node = 'bench';
  const concurrency = createConcurrency({
    redis,
    keyPrefix,
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

async function connect(url: string) {
  const logger = createLogger('bench', 'warn');
  const redis = connectRedis(url, logger);
  await new Promise((resolve) => redis.once('ready', resolve));
  const registry = new Registry();
  const limiter = createLimiter({
    redis,
    keyPrefix,
    node: 'bench',
    clock: systemClock,
    registry,
    logger,
    leaseUnits: true,
  });
  return { redis, registry, logger, limiter };
}
