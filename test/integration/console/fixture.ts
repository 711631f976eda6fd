import type { InjectOptions } from 'fastify';
import { SignJWT } from 'jose';
import type { AuditSources } from '../../../shared/audit/audit.ts';
import { createClickHouse } from '../../../shared/clickhouse/client.ts';
import type { ClickHouse } from '../../../shared/clickhouse/client.ts';
import { migrate } from '../../../shared/clickhouse/migrate.ts';
import type { AlertEvent } from '../../../shared/domain/topics/alert.ts';
import { ensureTopics } from '../../../shared/kafka/ensure-topics.ts';
import { createKafka } from '../../../shared/kafka/kafkajs/kafka.ts';
import type { Kafka } from '../../../shared/kafka/kafkajs/kafka.ts';
import { createProducer } from '../../../shared/kafka/producer/producer.ts';
import type { Producer } from '../../../shared/kafka/producer/producer.ts';
import { createTenantDirectory } from '../../../shared/kafka/tables/tenant-directory.ts';
import type { TenantDirectory } from '../../../shared/kafka/tables/tenant-directory.ts';
import { topicsWith } from '../../../shared/kafka/topics.ts';
import type { Topics } from '../../../shared/kafka/topics.ts';
import { loadPolicy } from '../../../shared/policy/load.ts';
import { connectRedis } from '../../../shared/redis/client.ts';
import { createLimiter } from '../../../shared/redis/decision/limiter.ts';
import type { Limiter } from '../../../shared/redis/decision/limiter.ts';
import { systemClock } from '../../../shared/runtime/time/clock.ts';
import { createLogger } from '../../../shared/runtime/logger.ts';
import { createRegistry } from '../../../shared/runtime/http/ops.ts';
import { createConsole } from '../../../services/console/console.ts';
import type { Console } from '../../../services/console/console.ts';
import { createDeadLetterDesk } from '../../../services/console/dead-letter-desk.ts';
import { createLossAuditor } from '../../../services/console/loss-auditor.ts';
import type { LossAuditor } from '../../../services/console/loss-auditor.ts';
import { createSessionEnds } from '../../../services/console/sessions/session-ends.ts';
import { createTokens } from '../../../services/console/sessions/tokens.ts';
import type { Tokens } from '../../../services/console/sessions/tokens.ts';
import { createUsageReader } from '../../../services/console/usage-reader.ts';
import { eventually, servers, uniqueNamespace } from '../../support/servers.ts';
import type { Namespace } from '../../support/servers.ts';

export const adminToken = 'an-admin-token-of-tests-0123456789';
export const portalSecret = 'a-portal-secret-of-tests-0123456789';
const jwtSecret = 'a-jwt-secret-of-tests-0123456789';
const policyEnv = {
  TOLLGATE_JWT_SECRET: jwtSecret,
  TOLLGATE_SERVICE_TOKEN: 'a-service-token-of-tests-0123456789',
};

export interface Fixture {
  readonly namespace: Namespace;
  readonly console: Console;
  readonly clickhouse: ClickHouse;
  readonly directory: TenantDirectory;
  readonly limiter: Limiter;
  readonly tokens: Tokens;
  /** The token of a portal link. */
  link(tenantId: string, ttlMs: number, sessionTtlMs?: number): Promise<string>;
  readonly testMessages: AlertEvent[];
  readonly kafka: Kafka;
  readonly producer: Producer;
  readonly topics: Topics;
  /** Calls the admin API with its token; the body of an answer without one is undefined. */
  admin(what: string, body?: object, headers?: Record<string, string>): Promise<Answer>;
  /** Takes `count` units of the whole tenant's limits, as a gateway would. */
  spend(tenantId: string, count: number, plan?: string): Promise<void>;
  jwt(claims: Record<string, string>, lifetime?: string): Promise<string>;
  dispose(): Promise<void>;
}

export interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, unknown>>;
  readonly body: Record<string, unknown>;
}

export interface FixtureOptions {
  /** Names of another console, to be a second process of the same installation. */
  readonly namespace?: Namespace;
  readonly clickhouseUrl?: string;
  readonly redisUrl?: string;
  /** Brokers of the tenants' records; where nobody answers the console goes on without having read them. */
  readonly recordBrokers?: string;
}

/** A console on the real servers, with names of its own, in this process. */
export async function createFixture(options: FixtureOptions = {}): Promise<Fixture> {
  const logger = createLogger('test', 'silent');
  const registry = createRegistry('console');
  const namespace = options.namespace ?? uniqueNamespace();
  const { topicPrefix, database, keyPrefix } = namespace;
  const topics = topicsWith(topicPrefix);
  const kafka = createKafka({ brokers: servers().kafkaBrokers, clientId: 'test', logger });
  const clickhouse = createClickHouse({ url: servers().clickhouseUrl, database });
  await Promise.all([migrate(clickhouse), ensureTopics(kafka, topics, { partitions: 1 })]);
  const policy = await loadPolicy('policies/default.yaml', policyEnv);
  const redis = connectRedis(options.redisUrl ?? servers().redisUrl, logger);
  const common = { clock: systemClock, registry, logger };
  const limiter = createLimiter({ ...common, redis, keyPrefix, callTimeoutMs: 2_000 });
  const { recordBrokers: brokers = servers().kafkaBrokers } = options;
  const directory = createTenantDirectory({
    kafka: createKafka({ brokers, clientId: 'test', logger }),
    topics,
    registry,
  });
  const { clickhouseUrl: url = servers().clickhouseUrl } = options;
  const read = createClickHouse({ url, database, requestTimeoutMs: 5_000 });
  const producer = createProducer(kafka, { registry });
  const sessionEnds = createSessionEnds({ kafka, topics, producer, clock: systemClock, registry });
  const testMessages: AlertEvent[] = [];
  const tokens = createTokens(portalSecret, adminToken, systemClock);
  const pages = await createConsole({
    policy: () => policy,
    directory,
    limiter,
    usage: createUsageReader({ clickhouse: read, policy: () => policy, registry }),
    deadLetters: createDeadLetterDesk({ kafka, producer, topic: topics.deadLetters }),
    lossAuditor: auditorOf({
      policy: () => policy,
      limiter,
      clock: systemClock,
      kafka,
      topics,
      clickhouse,
      records: () => directory.all(),
    }),
    testMessages: {
      send: (event) => {
        testMessages.push(event);
        return Promise.resolve();
      },
    },
    sessionEnds,
    adminToken,
    portalSecret,
    publicUrl: () => 'http://console.test',
    ...common,
  });
  const unread = options.recordBrokers !== undefined;
  await eventually(() => (unread || directory.ready()) && sessionEnds.ready(), { timeoutMs: 30_000 });
  if (options.redisUrl === undefined) await eventually(() => redis.status === 'ready');
  return {
    namespace,
    console: pages,
    clickhouse,
    directory,
    limiter,
    tokens,
    link: (...link) => signLink(tokens, ...link),
    testMessages,
    kafka,
    producer,
    topics,
    admin: (what, body, headers) => callAdmin(pages, what, body, headers),
    async spend(tenantId, count, plan = 'free') {
      const limits = policy.plans.get(plan)?.limits ?? [];
      const request = { tenantId, userId: null, ip: '127.0.0.1', limits, cost: count, peek: false };
      await eventually(async () => (await limiter.check(request)).passed);
    },
    jwt: signJwt,
    async dispose() {
      await pages.close();
      await Promise.all([
        directory.close(),
        sessionEnds.close(),
        producer.close(),
        limiter.close(),
        read.close(),
      ]);
      redis.disconnect();
      if (options.namespace === undefined) await clickhouse.command(`DROP DATABASE IF EXISTS ${database}`);
      await clickhouse.close();
    },
  };
}

async function signLink(
  tokens: Tokens,
  tenantId: string,
  ttlMs: number,
  sessionTtlMs = 3_600_000,
): Promise<string> {
  return (await tokens.signLink(tenantId, ttlMs, sessionTtlMs)).token;
}

function signJwt(claims: Record<string, string>, lifetime = '10m'): Promise<string> {
  return new SignJWT(claims)
    .setProtectedHeader({ alg: 'HS256' })
    .setExpirationTime(lifetime)
    .sign(new TextEncoder().encode(jwtSecret));
}

/** Asks as the console does, and does not wait for a pipeline that is not there. */
function auditorOf(sources: Omit<AuditSources, 'groupId'>): LossAuditor {
  return createLossAuditor({ ...sources, groupId: `${sources.topics.usage}-nobody`, patienceMs: 100 });
}

async function callAdmin(
  pages: Console,
  what: string,
  body?: object,
  headers: Record<string, string> = {},
): Promise<Answer> {
  const [method, url] = what.split(' ') as ['GET', string];
  const request: InjectOptions = {
    method,
    url,
    headers: { authorization: `Bearer ${adminToken}`, ...headers },
    ...(body === undefined ? {} : { payload: body }),
  };
  const response = await pages.admin.inject(request);
  const text = response.body;
  return {
    status: response.statusCode,
    headers: response.headers,
    body: (text === '' ? {} : JSON.parse(text)) as Record<string, unknown>,
  };
}
