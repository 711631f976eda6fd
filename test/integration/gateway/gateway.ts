import { topicsWith } from '../../../shared/kafka/topics.ts';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { FastifyInstance } from 'fastify';
import { SignJWT } from 'jose';
import { pino } from 'pino';
import { Registry } from 'prom-client';
import { createApiServer } from '../../../services/gateway/listeners/api-listener.ts';
import type { UpstreamCredential } from '../../../services/gateway/entrypoints/proxy/upstream-credential.ts';
import type { ApiServer } from '../../../services/gateway/entrypoints/api/api-server.ts';
import { createProxyServer } from '../../../services/gateway/listeners/proxy-listener.ts';
import { createEventGroups } from '../../../services/gateway/ingest/event-groups.ts';
import { createIngestShare } from '../../../services/gateway/ingest/ingest-share.ts';
import type { SpoolRoom } from '../../../services/gateway/ingest/ingest-share.ts';
import { Enforcer } from '../../../services/gateway/enforcer/enforcer.ts';
import type { EnforcerOptions } from '../../../services/gateway/enforcer/enforcer.ts';
import type { EventLog } from '../../../services/gateway/metering/meter.ts';
import { boundsDefault } from '../../../services/gateway/transport/bounds.ts';
import type { TransportBounds } from '../../../services/gateway/transport/bounds.ts';
import { createClickHouse } from '../../../shared/clickhouse/client.ts';
import { createEventsStoredSince } from '../../../shared/clickhouse/queries/installation/event-retention.ts';
import { createQueryShares } from '../../../shared/clickhouse/query-shares.ts';
import { apiKeysOf, keyEndMs } from '../../../shared/domain/tenant.ts';
import type { KeyHolder, TenantRecord } from '../../../shared/domain/tenant.ts';
import { publishedTimeBounds } from '../../../shared/domain/events/bounds.ts';
import type { RequestEvent, UsageCloudEvent } from '../../../shared/domain/usage-event.ts';
import type { Policy } from '../../../shared/domain/policy.ts';
import { parsePolicy } from '../../../shared/policy/load.ts';
import { connectRedis } from '../../../shared/redis/client.ts';
import { createConcurrency } from '../../../shared/redis/leases/concurrency.ts';
import type { Concurrency } from '../../../shared/redis/leases/concurrency.ts';
import { createLimiter } from '../../../shared/redis/decision/limiter.ts';
import { createSessions } from '../../../shared/redis/leases/sessions.ts';
import { systemClock } from '../../../shared/runtime/time/clock.ts';
import { servers, uniqueNamespace } from '../../support/servers.ts';
import { policyEnv, policyText } from '../../unit/policy/text.ts';

export const serviceToken = policyEnv.TOLLGATE_SERVICE_TOKEN;

/**
 * The identity part of the policy, which these tests share. Each test adds its plans and routes. The limit on invalid
 * credentials is high, because some tests send more of them from one address than the default allows.
 */
const identityPart =
  '{ jwt: { algorithms: [HS256], secret_env: TOLLGATE_JWT_SECRET, plan: plan }, trusted_proxies: [127.0.0.0/8], refused: { limit: 1000000, window: 1m } }';

export interface TestGateway {
  readonly enforcer: Enforcer;
  /** The events written so far, both of requests and of publishers. */
  readonly events: UsageCloudEvent[];
  readonly requests: () => RequestEvent[];
  readonly records: Map<string, TenantRecord>;
  readonly concurrency: Concurrency;
  readonly registry: Registry;
  readonly logLines: string[];
  /** Addresses of the listening servers. */
  readonly proxyUrl: string;
  readonly apiUrl: string;
  readonly api: ApiServer;
  readonly proxy: FastifyInstance;
  usePolicy(parts: Readonly<Record<string, string>>): void;
  close(): Promise<void>;
}

export interface TestGatewayOptions {
  readonly policy: Readonly<Record<string, string>>;
  readonly upstream?: string;
  readonly bodyBytesMax?: number;
  readonly upstreamTimeoutMs?: number;
  readonly upstreamCredential?: UpstreamCredential;
  readonly redisUrl?: string;
  /** Whether the tenant records are read; absent: they are. */
  readonly recordsReady?: () => boolean;
  readonly spoolRoom?: SpoolRoom;
  readonly bounds?: Partial<TransportBounds>;
  /** Bind address of the listeners. */
  readonly host?: string;
  readonly database?: string;
}

/** A spool that always has room, because the events of these tests stay in memory. */
const roomySpool = {
  usedShare: () => 0,
  acknowledged: () => Infinity,
  bytesMax: Infinity,
  diskFailure: () => null,
};
const queryShares = { concurrentMax: 4, concurrentOfTenantMax: 2, waitingOfTenantMax: 4 };

function policyWith(parts: Readonly<Record<string, string>>, upstream: string | undefined): Policy {
  const text = policyText({ identity: identityPart, ...parts });
  return parsePolicy('policy.yaml', text, { ...policyEnv, TOLLGATE_UPSTREAM: upstream });
}

function logInto(events: UsageCloudEvent[]): EventLog {
  return { append: (eventAt) => events.push(eventAt(events.length + 1)), flushed: () => Promise.resolve() };
}

/** Starts a gateway with the real Redis and ClickHouse. Its events stay in memory. */
export async function startGateway(options: TestGatewayOptions): Promise<TestGateway> {
  const logLines: string[] = [];
  const logger = pino({ level: 'info' }, { write: (line: string) => void logLines.push(line) });
  const { keyPrefix, database } = uniqueNamespace();
  const registry = new Registry();
  const redis = connectRedis(options.redisUrl ?? servers().redisUrl, logger);
  if (options.redisUrl === undefined && redis.status !== 'ready') await once(redis, 'ready');
  const common = { redis, keyPrefix, node: 'test', clock: systemClock, registry, logger };
  // On a loaded machine a call of a store may be late. A shorter timeout would cause decisions without it.
  const limiter = createLimiter({ ...common, callTimeoutMs: 10_000 });
  const shared = { ...common, nodes: () => limiter.state().nodes, breakerOf: limiter.breakerOf };
  const concurrency = createConcurrency(shared);
  const clickhouse = createClickHouse({
    url: servers().clickhouseUrl,
    database: options.database ?? database,
  });
  const events: UsageCloudEvent[] = [];
  const log = logInto(events);
  const records = new Map<string, TenantRecord>();
  const read = (parts: Readonly<Record<string, string>>): Policy => policyWith(parts, options.upstream);
  let policy = read(options.policy);
  const enforcer = new Enforcer({
    ...common,
    policy: () => policy,
    limiter,
    concurrency,
    records: directoryOf(records, options.recordsReady),
    events: log,
  });
  const bounds = { ...boundsDefault, ...options.bounds };
  const proxy = createProxyServer({
    enforcer,
    bodyBytesMax: options.bodyBytesMax ?? 1_000_000,
    upstreamTimeoutMs: options.upstreamTimeoutMs ?? 10_000,
    upstreamCredential: options.upstreamCredential ?? null,
    bounds,
  });
  const api = await createApiServer({
    enforcer,
    bounds,
    events: log,
    ingestShare: createIngestShare(options.spoolRoom ?? roomySpool),
    eventGroups: createEventGroups(),
    queries: createQueryShares({ clickhouse, registry, ...queryShares }),
    eventsStoredSince: createEventsStoredSince(clickhouse),
    sessions: createSessions(shared),
    eventTimes: publishedTimeBounds(400),
    topics: topicsWith('tollgate.'),
  });
  const host = options.host ?? '127.0.0.1';
  const proxyUrl = await proxy.listen({ host, port: 0 });
  const apiUrl = await api.listen({ host, port: 0 });
  return {
    enforcer,
    events,
    requests: () => events.filter((event): event is RequestEvent => event.type === 'tollgate.request.v1'),
    records,
    concurrency,
    registry,
    logLines,
    proxyUrl,
    apiUrl,
    api,
    proxy,
    usePolicy: (parts) => void (policy = read(parts)),
    close: async () => {
      await Promise.all([proxy.close(), api.close()]);
      await enforcer.close();
      await concurrency.close();
      await limiter.close();
      redis.disconnect();
      await clickhouse.close();
    },
  };
}

function directoryOf(
  records: ReadonlyMap<string, TenantRecord>,
  ready: () => boolean = () => true,
): EnforcerOptions['records'] {
  return {
    get: (id) => records.get(id),
    byApiKeyHash: (hash) => holderOf(hash, [...records.values()]),
    ready,
  };
}

/** The tenant of an API key, as the tenant directory returns it. */
export function holderOf(sha256: string, records: readonly TenantRecord[]): KeyHolder | undefined {
  for (const record of records) {
    const key = apiKeysOf(record).find((one) => one.sha256 === sha256);
    if (key !== undefined) return { record, key, expiresAtMs: keyEndMs(key) };
  }
  return undefined;
}

export interface TestUpstream {
  readonly url: string;
  /** Requests received so far, in order. */
  readonly seen: IncomingMessage[];
  close(): Promise<void>;
}

export async function startUpstream(
  handle: (request: IncomingMessage, response: ServerResponse) => void,
): Promise<TestUpstream> {
  const seen: IncomingMessage[] = [];
  const server: Server = createServer((request, response) => {
    seen.push(request);
    handle(request, response);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    seen,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

export function tokenOf(claims: Readonly<Record<string, unknown>>, expiresInSeconds = 600): Promise<string> {
  return new SignJWT({ ...claims, exp: Math.floor(Date.now() / 1000) + expiresInSeconds })
    .setProtectedHeader({ alg: 'HS256' })
    .sign(new TextEncoder().encode(policyEnv.TOLLGATE_JWT_SECRET));
}

export async function as(
  tenant: string,
  claims: Readonly<Record<string, unknown>> = {},
): Promise<Record<string, string>> {
  return { authorization: `Bearer ${await tokenOf({ tenant_id: tenant, sub: 'u1', ...claims })}` };
}

/** A5: the limit headers that every response has, whatever its status. */
export function limitHeadersOf(response: Response): { limit: number; remaining: number; reset: number } {
  const number = (name: string): number => Number(response.headers.get(name) ?? 'NaN');
  return {
    limit: number('x-ratelimit-limit'),
    remaining: number('x-ratelimit-remaining'),
    reset: number('x-ratelimit-reset'),
  };
}
