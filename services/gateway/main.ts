import { hostname } from 'node:os';
import { setTimeout as pause } from 'node:timers/promises';
import type { FastifyInstance } from 'fastify';
import type { Static } from 'typebox';
import { checkRetention } from '../../shared/clickhouse/check-retention.ts';
import { createClickHouse } from '../../shared/clickhouse/client.ts';
import { clickHouseServer } from '../../shared/clickhouse/environment.ts';
import { clickHouseTime } from '../../shared/clickhouse/server-time.ts';
import { createQueryShares } from '../../shared/clickhouse/query-shares.ts';
import type { QueryShares } from '../../shared/clickhouse/query-shares.ts';
import { publishedTimeBounds } from '../../shared/domain/events/bounds.ts';
import { kafkaCluster } from '../../shared/kafka/environment.ts';
import { brokerTime } from '../../shared/kafka/kafkajs/broker-time.ts';
import { createKafka } from '../../shared/kafka/kafkajs/kafka.ts';
import type { Kafka } from '../../shared/kafka/kafkajs/kafka.ts';
import { createTenantDirectory } from '../../shared/kafka/tables/tenant-directory.ts';
import { topicsWith } from '../../shared/kafka/topics.ts';
import { watchPolicy } from '../../shared/policy/load.ts';
import { connectRedis, redisTime } from '../../shared/redis/client.ts';
import { createConcurrency } from '../../shared/redis/leases/concurrency.ts';
import { createLimiter } from '../../shared/redis/decision/limiter.ts';
import { createSessions } from '../../shared/redis/leases/sessions.ts';
import { createAgreedClock } from '../../shared/runtime/time/agreed-clock.ts';
import type { Clock } from '../../shared/runtime/time/clock.ts';
import { readConfig } from '../../shared/runtime/config.ts';
import { TollgateError, messageOf } from '../../shared/runtime/errors.ts';
import { runService } from '../../shared/runtime/lifecycle.ts';
import type { Lifecycle } from '../../shared/runtime/lifecycle.ts';
import { listenOn } from '../../shared/runtime/http/listen-address.ts';
import { createLogger } from '../../shared/runtime/logger.ts';
import { createRegistry, listenOps } from '../../shared/runtime/http/ops.ts';
import type { Registry } from '../../shared/runtime/http/ops.ts';
import { environment } from './environment.ts';
import { createApiServer } from './listeners/api-listener.ts';
import type { ApiServer } from './entrypoints/api/api-server.ts';
import { createProxyServer } from './listeners/proxy-listener.ts';
import { listenEnvoy } from './listeners/rls-listener.ts';
import { Enforcer } from './enforcer/enforcer.ts';
import { createEventGroups } from './ingest/event-groups.ts';
import { createIngestShare } from './ingest/ingest-share.ts';
import { startPublisher } from './metering/publish.ts';
import { openSpool } from './spool/spool.ts';
import type { Spool } from './spool/spool.ts';
import { transportBounds } from './transport/bounds.ts';

type Config = Static<typeof environment>;

const startWaitMs = 5_000;
const startProbeMs = 25;
const retentionWaitMs = 1_000;
/** Maximum number of new connections that wait to be accepted. The kernel's `net.core.somaxconn` applies as well. */
const backlogMax = 4_096;

/** Bounds of the concurrent queries that this node sends to ClickHouse for tenants. */
const queryShares = { concurrentMax: 10, concurrentOfTenantMax: 3, waitingOfTenantMax: 20 };

const logger = createLogger('gateway', process.env['LOG_LEVEL'] ?? 'info');

await runService(logger, async (lifecycle, fail) => {
  const config = nameNode(readConfig(environment, process.env));
  const registry = createRegistry('gateway');
  const clock = createAgreedClock({ registry, logger, lifecycle });
  const policy = await watchPolicy(config.TOLLGATE_POLICY, process.env, { logger, registry });
  lifecycle.onClose('policy', () => policy.close());

  const { redis, limiter, concurrency, sessions } = openRedis(config, clock, registry, lifecycle);
  const kafka = openKafka(config, clock);
  const topics = topicsWith(config.TOLLGATE_TOPIC_PREFIX);
  const { clickhouse, queries } = openQueries(config, registry, lifecycle);
  clock.compareWith([redisTime(redis), brokerTime(kafka, topics, lifecycle), clickHouseTime(clickhouse)]);
  const tenants = createTenantDirectory({ kafka, topics, registry });
  lifecycle.onClose('tenants', () => tenants.close());

  const spool = await openEvents(config, clock, registry, fail);
  // The metrics listener closes after the parts below, so that the count of lost events can still be scraped.
  let isReady = false;
  const unready = (): string[] => [
    ...(isReady ? [] : ['start']),
    ...(spool.diskFailure() === null ? [] : [`spool: ${spool.diskFailure() ?? ''}`]),
  ];
  const ops = await listenOps(config.HOST, config.OPS_PORT, {
    registry,
    unready,
    notes: () => clock.notes(),
  });
  lifecycle.onClose('ops', () => ops.close());
  lifecycle.onClose('spool', () => spool.close());
  const publisher = startPublisher({ kafka, topics, spool, clock, registry, logger });
  lifecycle.onClose('publisher', () => publisher.close());

  const enforcer = new Enforcer({
    policy: () => policy.current(),
    limiter,
    concurrency,
    records: tenants,
    events: spool,
    node: config.TOLLGATE_NODE,
    clock,
    logger,
    registry,
  });
  lifecycle.onClose('enforcer', () => {
    enforcer.close();
    return Promise.resolve();
  });
  const bounds = transportBounds(config);
  const proxy = createProxyServer({
    enforcer,
    bodyBytesMax: config.TOLLGATE_BODY_BYTES_MAX,
    upstreamTimeoutMs: config.TOLLGATE_UPSTREAM_TIMEOUT_MS,
    bounds,
  });
  const eventTimes = publishedTimeBounds(config.TOLLGATE_RAW_RETENTION_DAYS);
  const ingestShare = createIngestShare(spool);
  const api = await createApiServer({
    enforcer,
    bounds,
    events: spool,
    ingestShare,
    eventGroups: createEventGroups(),
    queries,
    sessions,
    eventTimes,
  });
  await checkRetentionOnceUp(queries, config.TOLLGATE_RAW_RETENTION_DAYS);
  await untilReady({
    redis: () => redis.status === 'ready',
    'tenant records': () => tenants.ready(),
    clock: () => clock.agreed(),
  });
  await listen(config, lifecycle, enforcer, { api, proxy });
  isReady = true;
  logger.info({ port: config.PORT, policy: policy.current().revision }, 'gateway ready');
});

async function listen(
  config: Config,
  lifecycle: Lifecycle,
  enforcer: Enforcer,
  { api, proxy }: { readonly api: ApiServer; readonly proxy: FastifyInstance },
): Promise<void> {
  const rls = await listenEnvoy({
    enforcer,
    host: config.HOST,
    port: config.RLS_PORT,
    rateLimitWaitMsMax: config.TOLLGATE_RLS_REDIS_TIMEOUT_MS,
  });
  lifecycle.onClose('rls', () => rls.close());
  for (const [name, server, at] of [
    ['api', api, config.API_PORT] as const,
    ['proxy', proxy, config.PORT] as const,
  ]) {
    await listenOn(server, config.HOST, at, backlogMax);
    lifecycle.onClose(name, () => server.close());
  }
}

function nameNode(config: Config): Config {
  const node = config.TOLLGATE_NODE === '' ? `${hostname()}-${process.pid}` : config.TOLLGATE_NODE;
  return { ...config, TOLLGATE_NODE: node };
}

function openRedis(config: Config, clock: Clock, registry: Registry, lifecycle: Lifecycle) {
  const redis = connectRedis(config.REDIS_URL, logger);
  lifecycle.onClose('redis', () => redis.quit());
  const common = {
    redis,
    keyPrefix: config.TOLLGATE_KEY_PREFIX,
    node: config.TOLLGATE_NODE,
    callTimeoutMs: config.TOLLGATE_REDIS_TIMEOUT_MS,
    clock,
    registry,
    logger,
  };
  const limiter = createLimiter(common);
  lifecycle.onClose('limiter', () => limiter.close());
  const shared = { ...common, nodes: () => limiter.state().nodes, breakerOf: limiter.breakerOf };
  const concurrency = createConcurrency(shared);
  lifecycle.onClose('concurrency', () => concurrency.close());
  const sessions = createSessions(shared);
  return { redis, limiter, concurrency, sessions };
}

function openKafka(config: Config, clock: Clock): Kafka {
  return createKafka({
    ...kafkaCluster(config),
    clientId: `gateway-${config.TOLLGATE_NODE}`,
    logger,
    clock,
  });
}

function openEvents(
  config: Config,
  clock: Clock,
  registry: Registry,
  onLost: (error: unknown) => void,
): Promise<Spool> {
  return openSpool({
    directory: config.TOLLGATE_SPOOL_DIR,
    durability: config.TOLLGATE_DURABILITY === 'power' ? 'power' : 'process',
    clock,
    registry,
    logger,
    onLost,
  });
}

function openQueries(config: Config, registry: Registry, lifecycle: Lifecycle) {
  const clickhouse = createClickHouse({
    ...clickHouseServer(config),
    // Only queries of developers wait this long. Requests to the protected API make no queries.
    requestTimeoutMs: 5_000,
    connectionsMax: queryShares.concurrentMax,
    settings: {
      max_execution_time: 5,
      // ClickHouse cancels a query when its client disconnects.
      cancel_http_readonly_queries_on_client_close: 1,
    },
  });
  lifecycle.onClose('clickhouse', () => clickhouse.close());
  return { clickhouse, queries: createQueryShares({ clickhouse, registry, ...queryShares }) };
}

/**
 * Compares the configured retention of raw events with the retention in the aggregator's tables. A gateway also starts
 * while ClickHouse is unavailable; then nothing is compared.
 */
async function checkRetentionOnceUp(queries: QueryShares, days: number): Promise<void> {
  try {
    await checkRetention(queries.of('', AbortSignal.timeout(retentionWaitMs)), days);
  } catch (error) {
    if (error instanceof TollgateError && error.code === 'CONFIG_INVALID') throw error;
    logger.warn({ err: error }, `the retention of raw events was not compared: ${messageOf(error)}`);
  }
}

/**
 * Waits until the parts are ready, but at most `startWaitMs`. Without Redis this node decides alone, and without
 * records a tenant has the plan that its token names. Both are better than no service, so the wait is short.
 */
async function untilReady(parts: Readonly<Record<string, () => boolean>>): Promise<void> {
  const deadline = performance.now() + startWaitMs;
  const missing = (): string[] => Object.keys(parts).filter((name) => parts[name]?.() !== true);
  while (missing().length > 0 && performance.now() < deadline) await pause(startProbeMs);
  if (missing().length > 0) logger.warn({ missing: missing() }, 'starting without what is not there yet');
}
