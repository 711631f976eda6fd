import { createHash } from 'node:crypto';
import type { FastifyInstance } from 'fastify';
import { Registry } from 'prom-client';
import { createClickHouse } from '../../../shared/clickhouse/client.ts';
import type { ClickHouse } from '../../../shared/clickhouse/client.ts';
import { migrate } from '../../../shared/clickhouse/migrate.ts';
import { roles } from '../../../shared/domain/operators/operator.ts';
import type { Policy } from '../../../shared/domain/policy.ts';
import type { AlertEvent } from '../../../shared/domain/topics/alert.ts';
import { ensureTopics } from '../../../shared/kafka/ensure-topics.ts';
import { createKafka } from '../../../shared/kafka/kafkajs/kafka.ts';
import type { Kafka } from '../../../shared/kafka/kafkajs/kafka.ts';
import { createAuditLog } from '../../../shared/kafka/audit-log.ts';
import { createDeadLetterService } from '../../../shared/kafka/dead-letters/dead-letter-service.ts';
import { createProducer } from '../../../shared/kafka/producer/producer.ts';
import type { Producer } from '../../../shared/kafka/producer/producer.ts';
import { createTenantDirectory } from '../../../shared/kafka/tables/tenant-directory.ts';
import type { TenantDirectory } from '../../../shared/kafka/tables/tenant-directory.ts';
import { topicsWith } from '../../../shared/kafka/topics.ts';
import type { Topics } from '../../../shared/kafka/topics.ts';
import { createCredentials } from '../../../shared/identity/credentials.ts';
import { loadPolicy } from '../../../shared/policy/load.ts';
import { connectRedis } from '../../../shared/redis/client.ts';
import { createLimiter } from '../../../shared/redis/decision/limiter.ts';
import type { Limiter } from '../../../shared/redis/decision/limiter.ts';
import { createProcessReports } from '../../../shared/redis/process-reports.ts';
import type { ProcessReports } from '../../../shared/redis/process-reports.ts';
import { systemClock } from '../../../shared/runtime/time/clock.ts';
import type { Clock } from '../../../shared/runtime/time/clock.ts';
import { createLogger } from '../../../shared/runtime/logger.ts';
import { createRegistry } from '../../../shared/runtime/http/ops.ts';
import { createStoreReads } from '../../../shared/runtime/store-reads.ts';
import { createEndedSessions } from '../../../shared/sessions/ended-sessions.ts';
import type { EndedSessions } from '../../../shared/sessions/ended-sessions.ts';
import { createOperators } from '../../../shared/sessions/operators.ts';
import { createPortalLinks } from '../../../shared/sessions/portal-links.ts';
import { createSessionList } from '../../../shared/sessions/session-list.ts';
import type { SessionList } from '../../../shared/sessions/session-list.ts';
import { createSessionStates } from '../../../shared/sessions/session-states.ts';
import { createSessions } from '../../../shared/sessions/sessions.ts';
import { createTokens } from '../../../shared/sessions/tokens.ts';
import type { Tokens } from '../../../shared/sessions/tokens.ts';
import { createInstallation } from '../../../shared/tenants/list/installation.ts';
import { createAuditTrail } from '../../../shared/tenants/audit-trail.ts';
import { createTenantRecords } from '../../../shared/tenants/records.ts';
import { createResets } from '../../../shared/tenants/reset.ts';
import type { TestMessages } from '../../../shared/tenants/test-messages/test-messages.ts';
import { createUsageReader } from '../../../shared/tenants/usage-reader.ts';
import { createAdminApp } from '../../../services/admin/app.ts';
import { createConsoleApp } from '../../../services/console/app.ts';
import { defaultBrand } from '../../../services/console/browser/brand.ts';
import type { SingleSignOn } from '../../../services/console/operator/oidc/single-sign-on.ts';
import { createSignInCounter } from '../../../services/console/sessions/sign-in-throttle.ts';
import { callAdmin } from './call-admin.ts';
import type { Answer } from './call-admin.ts';
import { jwtSecret, signJwt, signLink } from './signed-tokens.ts';
import { openTools } from './policy/policy-tools.ts';
import { eventually, servers, uniqueNamespace } from '../../support/servers.ts';
import type { Namespace } from '../../support/servers.ts';

export const adminToken = 'an-admin-token-of-tests-0123456789';
export const portalSecret = 'a-portal-secret-of-tests-0123456789';
/** Tokens of operators of each role, by the name of the role. */
export const operatorTokens = {
  viewer: 'the-token-of-a-viewer-0123456789',
  support: 'the-token-of-support-0123456789',
  admin: 'the-token-of-an-admin-0123456789',
} as const;
const operatorEntries = roles.map((role) => {
  const sha256 = createHash('sha256').update(operatorTokens[role]).digest('hex');
  return { name: `${role}-operator`, role, token_sha256: sha256 };
});
const policyEnv = {
  TOLLGATE_JWT_SECRET: jwtSecret,
  TOLLGATE_SERVICE_TOKEN: 'a-service-token-of-tests-0123456789',
};

export interface Fixture {
  readonly namespace: Namespace;
  /** The admin listener. Its /metrics has the metrics of both services. */
  readonly adminApp: FastifyInstance;
  /** The public listener. */
  readonly consoleApp: FastifyInstance;
  readonly clickhouse: ClickHouse;
  readonly directory: TenantDirectory;
  readonly limiter: Limiter;
  readonly reports: ProcessReports;
  readonly tokens: Tokens;
  /** Creates a portal link and returns its token. */
  link(tenantId: string, ttlMs: number, sessionTtlMs?: number): Promise<string>;
  readonly testMessages: AlertEvent[];
  readonly kafka: Kafka;
  readonly producer: Producer;
  readonly topics: Topics;
  /** Calls the admin API with the admin token. `body` is undefined if the response has no body. */
  admin(what: string, body?: object, headers?: Record<string, string>): Promise<Answer>;
  /** Charges `count` units to the limits that count all requests of the tenant, as a gateway would. */
  spend(tenantId: string, count: number, plan?: string): Promise<void>;
  jwt(claims: Record<string, string>, lifetime?: string): Promise<string>;
  dispose(): Promise<void>;
}

export interface FixtureOptions {
  /** The namespace of another fixture, so that both run as processes of the same installation. */
  readonly namespace?: Namespace;
  readonly clickhouseUrl?: string;
  /** Default: `policies/default.yaml`. */
  readonly policyPath?: string;
  /** True: the operator may put a policy live, which writes the file at `policyPath`. */
  readonly policyIsWritable?: boolean;
  readonly redisUrl?: string;
  /** Brokers from which the tenant records are read. If they do not respond, both services start without the records. */
  readonly recordBrokers?: string;
  readonly singleSignOn?: SingleSignOn;
  /** Time of sessions, links and keys. Default: the system clock. */
  readonly clock?: Clock;
  /** Address of the console for browsers. */
  readonly publicUrl?: () => string;
}

/** Runs the admin API and the console in this process, on the real servers with a separate namespace. */
export async function createFixture(options: FixtureOptions = {}): Promise<Fixture> {
  const logger = createLogger('test', 'silent');
  const { clock = systemClock } = options;
  const registry = createRegistry('console');
  const namespace = options.namespace ?? uniqueNamespace();
  const { topicPrefix, database, keyPrefix } = namespace;
  const topics = topicsWith(topicPrefix);
  const kafka = createKafka({ brokers: servers().kafkaBrokers, clientId: 'test', logger });
  const clickhouse = createClickHouse({ url: servers().clickhouseUrl, database });
  await Promise.all([migrate(clickhouse), ensureTopics(kafka, topics, { partitions: 1 })]);
  const policy = await loadPolicy(options.policyPath ?? 'policies/default.yaml', policyEnv);
  const redis = connectRedis(options.redisUrl ?? servers().redisUrl, logger);
  const common = { clock, registry, logger };
  const limiter = createLimiter({ ...common, redis, keyPrefix, callTimeoutMs: 10_000 });
  const reports = createProcessReports({ redis, keyPrefix, clock });
  const { recordBrokers: brokers = servers().kafkaBrokers } = options;
  const directory = createTenantDirectory({
    kafka: createKafka({ brokers, clientId: 'test', logger }),
    topics,
    registry,
  });
  const { clickhouseUrl: url = servers().clickhouseUrl } = options;
  const read = createClickHouse({ url, database });
  const producer = createProducer(kafka, { registry });
  const ended = createEndedSessions({ kafka, topics, producer, clock, registry });
  const operators = createOperators({ current: () => operatorEntries }, adminToken);
  const { isSourceOver } = createSessionStates({ ended, operators, directory, clock });
  const list = createSessionList({ kafka, topics, producer, ended, isSourceOver, ...common });
  const testMessages: AlertEvent[] = [];
  const tokens = createTokens(portalSecret, adminToken, clock);
  const services = await createServices({
    policyPath: options.policyPath ?? 'policies/default.yaml',
    policyIsWritable: options.policyIsWritable ?? false,
    ...{ policy, directory, limiter, reports, read, clickhouse, kafka, producer, topics },
    ...{ tokens, ended, list, registry, testMessages, clock },
    singleSignOn: options.singleSignOn ?? null,
    publicUrl: options.publicUrl ?? ((): string => 'http://console.test'),
  });
  const unread = options.recordBrokers !== undefined;
  await eventually(() => (unread || directory.ready()) && ended.ready() && list.ready());
  if (options.redisUrl === undefined) await eventually(() => redis.status === 'ready');
  return {
    namespace,
    adminApp: services.adminApp,
    consoleApp: services.consoleApp,
    clickhouse,
    directory,
    limiter,
    reports,
    tokens,
    link: (...link) => signLink(tokens, ...link),
    testMessages,
    kafka,
    producer,
    topics,
    admin: (what, body, headers) => callAdmin(services.adminApp, adminToken, what, body, headers),
    async spend(tenantId, count, plan = 'free') {
      const limits = policy.plans.get(plan)?.limits ?? [];
      const request = { tenantId, userId: null, ip: '127.0.0.1', limits, cost: count, peek: false };
      await eventually(async () => (await limiter.check(request)).passed);
    },
    jwt: signJwt,
    async dispose() {
      await services.close();
      await Promise.all([
        directory.close(),
        ended.close(),
        list.close(),
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

interface Stores {
  readonly clock: Clock;
  readonly policy: Policy;
  readonly policyPath: string;
  readonly policyIsWritable: boolean;
  readonly directory: TenantDirectory;
  readonly limiter: Limiter;
  readonly reports: ProcessReports;
  /** The ClickHouse that the services query; a test may replace it. `clickhouse` is always the real server. */
  readonly read: ClickHouse;
  readonly clickhouse: ClickHouse;
  readonly kafka: Kafka;
  readonly producer: Producer;
  readonly topics: Topics;
  readonly tokens: Tokens;
  readonly ended: EndedSessions;
  readonly list: SessionList;
  readonly registry: Registry;
  readonly testMessages: AlertEvent[];
  readonly singleSignOn: SingleSignOn | null;
  readonly publicUrl: () => string;
}

interface Services {
  readonly adminApp: FastifyInstance;
  readonly consoleApp: FastifyInstance;
  close(): Promise<void>;
}

/** Creates the listeners of both services, which share stores, tenant records and ended sessions. */
async function createServices(stores: Stores): Promise<Services> {
  const { directory, limiter, clickhouse, kafka, producer, topics, tokens, ended, list, registry } = stores;
  const policy = (): Policy => stores.policy;
  const { clock } = stores;
  const common = { clock, registry, logger: createLogger('test', 'silent') };
  const audit = createAuditLog({ ...common, producer, topics, source: 'console' });
  const reads = createStoreReads(common);
  const records = createTenantRecords({ ...common, source: 'console', directory });
  const usage = createUsageReader({ clickhouse: stores.read, policy, registry });
  const consoleUrl = stores.publicUrl;
  const operators = createOperators({ current: () => operatorEntries }, adminToken);
  const tools = await openTools({ ...stores, audit, env: policyEnv });
  const both = {
    policyTools: tools,
    ...{ ...common, policy, directory, limiter, usage, records, operators },
    resets: createResets({ ...common, records, audit, limiter, usage, policy }),
    reads,
    installation: createInstallation({ clickhouse: stores.read, directory }),
    reports: stores.reports,
    audit,
    auditTrail: createAuditTrail({ clickhouse: stores.read, directory, reads }),
    deadLetters: createDeadLetterService({ kafka, producer, topic: topics.deadLetters }),
    portalLinks: createPortalLinks({ ...common, audit, tokens, ended, consoleUrl, list }),
  };
  const testMessages: TestMessages = {
    send: (event) => {
      stores.testMessages.push(event);
      return Promise.resolve();
    },
  };
  const adminApp = await createAdminApp({
    ...both,
    testMessages,
    ended,
    // This consumer group never commits offsets, so the audit waits for them only 100 ms.
    auditSources: {
      ...{ policy, limiter, clock, kafka, topics, clickhouse },
      records: () => directory.all(),
      groupId: `${topics.usage}-none`,
      patienceMs: 100,
    },
  });
  const credentials = createCredentials({ ...common, policy, directory });
  const consoleApp = await createConsoleApp({
    ...both,
    credentials,
    testMessages,
    sessions: createSessions({ tokens, operators, ended, list, directory, clock }),
    sessionList: list,
    endedSessions: ended,
    operatorsFile: { refused: () => null },
    signIns: createSignInCounter(registry),
    publicUrl: consoleUrl,
    tokenSignIn: true,
    singleSignOn: stores.singleSignOn,
    brand: defaultBrand,
    // A separate registry, because the request metrics of both listeners have the same names.
    registry: new Registry(),
  });
  return {
    adminApp,
    consoleApp,
    close: async () => {
      credentials.close();
      await tools.close();
      await Promise.all([adminApp.close(), consoleApp.close()]);
    },
  };
}
