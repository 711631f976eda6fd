import { hostname } from 'node:os';
import type { FastifyInstance } from 'fastify';
import type { Static } from 'typebox';
import { checkRetention } from '../../shared/clickhouse/check-retention.ts';
import { createClickHouse } from '../../shared/clickhouse/client.ts';
import { clickHouseServer } from '../../shared/clickhouse/environment.ts';
import { clickHouseTime } from '../../shared/clickhouse/server-time.ts';
import { createEventsStoredSince } from '../../shared/clickhouse/queries/installation/event-retention.ts';
import { createQueryShares } from '../../shared/clickhouse/query-shares.ts';
import type { QueryShares } from '../../shared/clickhouse/query-shares.ts';
import { publishedTimeBounds } from '../../shared/domain/events/bounds.ts';
import { kafkaCluster } from '../../shared/kafka/environment.ts';
import { readConfig } from '../../shared/runtime/config.ts';
import { TollgateError, messageOf } from '../../shared/runtime/errors.ts';
import { runService } from '../../shared/runtime/lifecycle.ts';
import type { Lifecycle } from '../../shared/runtime/lifecycle.ts';
import { listenOn } from '../../shared/runtime/http/listen-address.ts';
import { createLogger } from '../../shared/runtime/logger.ts';
import { createRegistry, listenOps } from '../../shared/runtime/http/ops.ts';
import type { Registry } from '../../shared/runtime/http/ops.ts';
import { startTracing } from '../../shared/runtime/tracing/start-tracing.ts';
import { topicsWith } from '../../shared/kafka/topics.ts';
import { environment } from './environment.ts';
import { createApiServer } from './listeners/api-listener.ts';
import type { ApiServer } from './entrypoints/api/api-server.ts';
import { readUpstreamCredential } from './entrypoints/proxy/upstream-credential.ts';
import { createProxyServer } from './listeners/proxy-listener.ts';
import { listenEnvoy } from './listeners/rls-listener.ts';
import type { Enforcer } from './enforcer/enforcer.ts';
import { createEventGroups } from './ingest/event-groups.ts';
import { createIngestShare } from './ingest/ingest-share.ts';
import { exportDiskSpace } from './spool/disk-space.ts';
import { openEnforcer } from './open-enforcer.ts';
import type { EnforcerSettings, OpenedEnforcer } from './open-enforcer.ts';
import { transportBounds } from './transport/bounds.ts';

type Config = Static<typeof environment>;

const retentionWaitMs = 1_000;
/** Maximum number of new connections that wait to be accepted. The kernel's `net.core.somaxconn` applies as well. */
const backlogMax = 4_096;

/** Bounds of the concurrent queries that this node sends to ClickHouse for tenants. */
const queryShares = { concurrentMax: 10, concurrentOfTenantMax: 3, waitingOfTenantMax: 20 };

const logger = createLogger('gateway', process.env['LOG_LEVEL'] ?? 'info');

await runService(logger, async (lifecycle, fail) => {
  const config = nameNode(readConfig(environment, process.env));
  const registry = createRegistry('gateway');
  const node = config.TOLLGATE_NODE;
  const tracing = await startTracing({ service: 'gateway', instance: node, config, logger, lifecycle });
  let core: OpenedEnforcer | null = null;
  let isReady = false;
  const unready = (): string[] => {
    const failure = core?.spool.diskFailure() ?? null;
    return [...(isReady ? [] : ['start']), ...(failure === null ? [] : [`spool: ${failure}`])];
  };
  // The metrics listener closes last, so that the count of lost events can still be scraped.
  const ops = await listenOps(config.HOST, config.OPS_PORT, {
    registry,
    unready,
    notes: () => core?.clock.notes() ?? [],
  });
  lifecycle.onClose('ops', () => ops.close());
  const { clickhouse, queries } = openQueries(config, registry, lifecycle);
  const clocks = [clickHouseTime(clickhouse)];
  core = await openEnforcer(settingsOf(config), {
    logger,
    registry,
    lifecycle,
    clocks,
    tracing,
    onSpoolLost: fail,
  });
  const { enforcer, policy, sessions, spool } = core;
  const disk = exportDiskSpace(config.TOLLGATE_SPOOL_DIR, { registry });
  lifecycle.onClose('disk space', () => {
    disk.close();
    return Promise.resolve();
  });
  const bounds = transportBounds(config);
  const proxy = createProxyServer({
    enforcer,
    bodyBytesMax: config.TOLLGATE_BODY_BYTES_MAX,
    upstreamTimeoutMs: config.TOLLGATE_UPSTREAM_TIMEOUT_MS,
    upstreamCredential: readUpstreamCredential(config.TOLLGATE_UPSTREAM_CREDENTIAL),
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
    eventsStoredSince: createEventsStoredSince(clickhouse),
    sessions,
    eventTimes,
    topics: topicsWith(config.TOLLGATE_TOPIC_PREFIX),
  });
  await checkRetentionOnceUp(queries, config.TOLLGATE_RAW_RETENTION_DAYS);
  await core.untilReady();
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

function settingsOf(config: Config): EnforcerSettings {
  return {
    policyPath: config.TOLLGATE_POLICY,
    env: process.env,
    redisUrl: config.REDIS_URL,
    keyPrefix: config.TOLLGATE_KEY_PREFIX,
    redisTimeoutMs: config.TOLLGATE_REDIS_TIMEOUT_MS,
    kafka: kafkaCluster(config),
    topicPrefix: config.TOLLGATE_TOPIC_PREFIX,
    spoolDirectory: config.TOLLGATE_SPOOL_DIR,
    durability: config.TOLLGATE_DURABILITY === 'power' ? 'power' : 'process',
    node: config.TOLLGATE_NODE,
  };
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
