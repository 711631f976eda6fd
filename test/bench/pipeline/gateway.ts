// A gateway's check in its own process: node gateway.ts <redis url> <brokers> <spool folder, or - for no events>.
// Prints its port and ends with its parent.
import { createHash } from 'node:crypto';
import { fastify } from 'fastify';
import { Enforcer } from '../../../services/gateway/enforcer/enforcer.ts';
import type { EnforcerOptions } from '../../../services/gateway/enforcer/enforcer.ts';
import { tollgate } from '../../../services/gateway/entrypoints/plugin.ts';
import { startPublisher } from '../../../services/gateway/metering/publish.ts';
import { openSpool } from '../../../services/gateway/spool/spool.ts';
import { createKafka } from '../../../shared/kafka/kafkajs/kafka.ts';
import { topicsWith } from '../../../shared/kafka/topics.ts';
import { parsePolicy } from '../../../shared/policy/load.ts';
import { connectRedis } from '../../../shared/redis/client.ts';
import { createConcurrency } from '../../../shared/redis/leases/concurrency.ts';
import { createLimiter } from '../../../shared/redis/decision/limiter.ts';
import { systemClock as clock } from '../../../shared/runtime/time/clock.ts';
import { createLogger } from '../../../shared/runtime/logger.ts';
import { createRegistry } from '../../../shared/runtime/http/ops.ts';

const [redisUrl, brokers, directory] = process.argv.slice(2);
if (redisUrl === undefined || brokers === undefined || directory === undefined) {
  throw new Error('node gateway.ts <redis url> <brokers> <spool folder or ->');
}
const policy = parsePolicy(
  'bench.yaml',
  `
version: 1
links: { documentation: https://docs.example.com, upgrade: https://example.com }
identity: { anonymous: reject }
default_plan: bench
plans:
  bench:
    limits:
      - { name: minute, per: tenant, limit: 10000000, window: 1m }
      - { name: hour, per: tenant, limit: 10000000, window: 1h }
      - { name: day, per: tenant, limit: 1000000000, window: 1d, type: quota }
platform:
  limits: [{ name: platform, per: global, type: concurrent, limit: 1000 }]
mode: enforce
`,
  {},
);
const registry = createRegistry('bench');
const logger = createLogger('bench', 'warn');
const redis = connectRedis(redisUrl, logger);
await new Promise((resolve) => redis.once('ready', resolve));
const node = 'bench';
const common = { redis, keyPrefix: 'bench', node, clock, registry, logger };
const limiter = createLimiter(common);
const enforcer = new Enforcer({
  policy: () => policy,
  limiter,
  concurrency: createConcurrency({ ...common, nodes: () => 1, breakerOf: limiter.breakerOf }),
  records: recordsOf(100),
  events: directory === '-' ? noEvents() : await publishedEvents(directory, brokers),
  ...{ node, clock, logger, registry },
});
const app = fastify();
await app.register(tollgate, { enforcer });
app.get('/', () => ({ hello: 'world' }));
await app.listen({ host: '127.0.0.1', port: 0 });
const address = app.server.address();
process.stdout.write(`${typeof address === 'object' ? (address?.port ?? 0) : 0}\n`);
process.stdin.on('close', () => process.exit(0)).resume();

function noEvents(): EnforcerOptions['events'] {
  return { append: () => 0, flushed: () => Promise.resolve() };
}

async function publishedEvents(folder: string, kafkaBrokers: string): Promise<EnforcerOptions['events']> {
  const onLost = (error: unknown): never => {
    throw error;
  };
  const spool = await openSpool({ directory: folder, clock, registry, logger, onLost });
  const kafka = createKafka({ brokers: kafkaBrokers, clientId: 'bench', logger });
  startPublisher({ kafka, topics: topicsWith('cost.'), spool, clock, registry, logger });
  return spool;
}

/** Records of tenants with the API keys `tgk_0`, `tgk_1`, … */
function recordsOf(count: number): EnforcerOptions['records'] {
  const holders = new Map(
    Array.from({ length: count }, (_, index) => [
      createHash('sha256').update(`tgk_${index}`).digest('hex'),
      {
        record: { tenant_id: `tenant-${index}`, updated_at: '', updated_by: '' },
        key: { sha256: '' },
        expiresAtMs: Infinity,
      },
    ]),
  );
  return { get: () => null, byApiKeyHash: (digest) => holders.get(digest), ready: () => true };
}
