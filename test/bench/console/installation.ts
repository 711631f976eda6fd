import { randomBytes } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Registry } from 'prom-client';
import { startClickHouseServer } from '../../../dev/servers/clickhouse.ts';
import type { RunningClickHouse } from '../../../dev/servers/clickhouse.ts';
import { freePort } from '../../../dev/servers/free-port.ts';
import { startKafkaServer } from '../../../dev/servers/kafka.ts';
import { startRedisServer } from '../../../dev/servers/redis.ts';
import type { ClickHouse } from '../../../shared/clickhouse/client.ts';
import type { Policy } from '../../../shared/domain/policy.ts';
import { ensureTopics } from '../../../shared/kafka/ensure-topics.ts';
import { createKafka } from '../../../shared/kafka/kafkajs/kafka.ts';
import { createTenantDirectory } from '../../../shared/kafka/tables/tenant-directory.ts';
import { topicsWith } from '../../../shared/kafka/topics.ts';
import { loadPolicy } from '../../../shared/policy/load.ts';
import { connectRedis } from '../../../shared/redis/client.ts';
import { createLimiter } from '../../../shared/redis/decision/limiter.ts';
import { createLogger } from '../../../shared/runtime/logger.ts';
import { systemClock } from '../../../shared/runtime/time/clock.ts';
import { createTokens } from '../../../shared/sessions/tokens.ts';
import { startServices } from '../../support/services.ts';
import { eventually } from '../../support/servers.ts';
import { openDatabase } from '../storage/history.ts';
import { fillTotals } from './fill.ts';
import type { Extent } from './fill.ts';

const database = 'console_bench';
const topics = topicsWith('tollgate.');

export interface ConsoleInstallation {
  readonly url: string;
  /** A client of ClickHouse for the benchmark itself. */
  readonly clickhouse: ClickHouse;
  readonly server: RunningClickHouse;
  readonly policy: Policy;
  readonly env: Readonly<Record<string, string>>;
  readonly consolePid: number;
  /** Cookie of a portal session of the tenant. */
  portalCookie(tenantId: string): Promise<string>;
  operatorCookie(): Promise<string>;
  stop(): Promise<void>;
}

/** Servers with the data of `extent`, and the console as a process of its own. */
export async function startConsole(
  dir: string,
  extent: Extent,
  say: (line: string) => void,
): Promise<ConsoleInstallation> {
  const redis = await startRedisServer({ dir: join(dir, 'redis'), port: await freePort(), say });
  const kafka = await startKafkaServer({ dir: join(dir, 'kafka'), port: await freePort(), say });
  const server = await startClickHouseServer({ dir: join(dir, 'clickhouse'), port: await freePort(), say });
  const secret = (): string => randomBytes(32).toString('hex');
  const secrets = {
    ...{ TOLLGATE_JWT_SECRET: secret(), TOLLGATE_SERVICE_TOKEN: secret() },
    ...{ TOLLGATE_ADMIN_TOKEN: secret(), TOLLGATE_PORTAL_SECRET: secret() },
  };
  const policyPath = await writePolicy(dir);
  const policy = await loadPolicy(policyPath, secrets);
  const clickhouse = await openDatabase(server.url, database);
  await fillTotals(clickhouse, extent, Date.now(), { revision: policy.revision, say });
  await writeRecords(kafka.brokers, extent.tenants);
  await chargeCounters(redis.url, policy, extent.tenants);
  say('  records written, counters charged');
  const env = {
    ...{ REDIS_URL: redis.url, KAFKA_BROKERS: kafka.brokers },
    ...{ CLICKHOUSE_URL: server.url, CLICKHOUSE_DATABASE: database },
    ...{ TOLLGATE_POLICY: policyPath, LOG_LEVEL: 'warn', ...secrets },
  };
  const installation = await startServices(['console'], env);
  const url = installation.urls.console;
  const { TOLLGATE_PORTAL_SECRET: portalSecret, TOLLGATE_ADMIN_TOKEN: adminToken } = secrets;
  const tokens = createTokens(portalSecret, adminToken, systemClock);
  return {
    ...{ url, clickhouse, server, policy, env },
    consolePid: installation.service('console').pid(),
    async portalCookie(tenantId) {
      const link = { sessionTtlMs: 3_600_000, managesKeys: true };
      const { token } = await tokens.signLink(tenantId, 60_000, link);
      return cookieOf(await fetch(`${url}/sign-in?token=${token}`, { redirect: 'manual' }));
    },
    async operatorCookie() {
      const body = new URLSearchParams({ token: adminToken, name: 'robin' });
      return cookieOf(await fetch(`${url}/operator/sign-in`, { method: 'POST', body, redirect: 'manual' }));
    },
    async stop() {
      await clickhouse.close();
      await installation.stop();
      for (const running of [server, kafka, redis]) await running.stop();
    },
  };
}

/** The default policy with a limit in shadow mode, over which the stored events have requests. */
async function writePolicy(dir: string): Promise<string> {
  const text = await readFile('policies/default.yaml', 'utf8');
  const path = join(dir, 'policy.yaml');
  await writeFile(path, text.replace('limit: 30, window: 1m }', 'limit: 30, window: 1m, mode: shadow }'));
  const { routes } = await loadPolicy(path, {}, { secrets: 'optional' });
  const limits = routes.flatMap((route) => route.limits);
  if (!limits.some(({ name, mode }) => name === 'audit-logs' && mode === 'shadow'))
    throw new Error('the policy of the benchmark has no limit in shadow mode');
  return path;
}

function cookieOf({ status, headers }: Response): string {
  const cookie = headers.getSetCookie()[0]?.split(';')[0];
  if (cookie === undefined) throw new Error(`the console refused the sign-in with status ${status}`);
  return cookie;
}

export const tenantId = (number: number): string => `tenant-${number}`;
/** SHA-256 of the API key of a tenant. No request has this key. */
export const keySha256 = (number: number): string => number.toString(16).padStart(64, '0');

/** Most tenants have a record: with a plan, a name and a key, some with a time zone. */
async function writeRecords(brokers: string, tenants: number): Promise<void> {
  const logger = createLogger('bench', 'silent');
  const kafka = createKafka({ brokers, clientId: 'bench', logger });
  await ensureTopics(kafka, topics, { partitions: 6 });
  const directory = createTenantDirectory({ kafka, topics, registry: new Registry() });
  await eventually(() => directory.ready(), { timeoutMs: 60_000 });
  const createdAt = new Date().toISOString();
  for (let from = 1; from <= tenants; from += 100) {
    const numbers = Array.from({ length: Math.min(100, tenants - from + 1) }, (_, index) => from + index);
    await Promise.all(
      numbers.map((number) =>
        directory.put({
          tenant_id: tenantId(number),
          plan: ['free', 'pro', 'enterprise'][number % 3] ?? 'free',
          display_name: `Tenant ${number} GmbH`,
          ...(number % 4 === 0 ? { time_zone: 'Europe/Berlin' } : {}),
          api_keys: [{ sha256: keySha256(number), name: 'production', created_at: createdAt }],
          ...{ updated_at: createdAt, updated_by: 'bench' },
        }),
      ),
    );
  }
  await directory.close();
}

/** Charges the windows of all tenants and of some of their users, as gateways would. */
async function chargeCounters(redisUrl: string, policy: Policy, tenants: number): Promise<void> {
  const logger = createLogger('bench', 'silent');
  const redis = connectRedis(redisUrl, logger);
  await eventually(() => redis.status === 'ready');
  const limiter = createLimiter({
    ...{ redis, keyPrefix: 'tollgate', clock: systemClock, registry: new Registry(), logger },
    callTimeoutMs: 2_000,
  });
  const routeLimits = policy.routes.flatMap(({ limits }) => limits);
  for (let number = 1; number <= tenants; number += 1) {
    const plan = policy.plans.get(['free', 'pro', 'enterprise'][number % 3] ?? 'free');
    const limits = [...(plan?.limits ?? []), ...routeLimits.filter(({ per }) => per.includes('user'))];
    await Promise.all(
      [1, 2, 3].map((person) =>
        limiter.check({
          ...{ tenantId: tenantId(number), userId: `user-${number * 100 + person}`, ip: '127.0.0.1' },
          ...{ limits, cost: 1 + (number % 3), peek: false },
        }),
      ),
    );
  }
  await limiter.close();
  redis.disconnect();
}
