import { pino } from 'pino';
import { Registry } from 'prom-client';
import { createClickHouse } from '../../../shared/clickhouse/client.ts';
import type { ClickHouse } from '../../../shared/clickhouse/client.ts';
import { migrate } from '../../../shared/clickhouse/migrate.ts';
import type { NotificationSettings, TenantRecord } from '../../../shared/domain/tenant.ts';
import type { PeriodTotals, TenantTotals } from '../../../shared/domain/topics/totals.ts';
import { ensureTopics } from '../../../shared/kafka/ensure-topics.ts';
import { createKafka } from '../../../shared/kafka/kafkajs/kafka.ts';
import { createProducer } from '../../../shared/kafka/producer/producer.ts';
import { topicsWith } from '../../../shared/kafka/topics.ts';
import type { Topics } from '../../../shared/kafka/topics.ts';
import { servers, uniqueNamespace } from '../../support/servers.ts';

/**
 * The topics and the database of one test, without services, and functions that write the aggregator's announcements.
 */
export interface Alerting {
  /** Environment variables for `startServices`. */
  readonly env: Readonly<Record<string, string>>;
  readonly topics: Topics;
  readonly clickhouse: ClickHouse;
  putRecord(
    tenantId: string,
    record: Partial<TenantRecord> & { notifications?: NotificationSettings },
  ): Promise<void>;
  /** Announces the units that the tenant consumed today. Resolves with the time of the announcement. */
  announce(tenantId: string, consumed: number, changes?: Partial<PeriodTotals>): Promise<number>;
  /** Writes any value to a topic. */
  put(topic: string, key: string, value: string): Promise<void>;
  close(): Promise<void>;
}

export async function prepareAlerting(partitions = 3): Promise<Alerting> {
  const { kafkaBrokers, clickhouseUrl } = servers();
  const { topicPrefix, database, keyPrefix } = uniqueNamespace();
  const kafka = createKafka({ brokers: kafkaBrokers, clientId: 'test', logger: pino({ level: 'silent' }) });
  const topics = topicsWith(topicPrefix);
  const clickhouse = createClickHouse({ url: clickhouseUrl, database });
  await Promise.all([ensureTopics(kafka, topics, { partitions }), migrate(clickhouse)]);
  const producer = createProducer(kafka, { registry: new Registry() });
  const put = async (topic: string, key: string, value: string): Promise<void> => {
    await producer.send(topic, [{ key, value }]);
  };
  return {
    env: {
      KAFKA_BROKERS: kafkaBrokers,
      CLICKHOUSE_URL: clickhouseUrl,
      CLICKHOUSE_DATABASE: database,
      REDIS_URL: servers().redisUrl,
      TOLLGATE_TOPIC_PREFIX: topicPrefix,
      TOLLGATE_KEY_PREFIX: keyPrefix,
      TOLLGATE_POLICY: 'policies/default.yaml',
      TOLLGATE_JWT_SECRET: 'not-a-secret-0123456789abcdef0123',
      TOLLGATE_SERVICE_TOKEN: 'not-a-token-0123456789abcdef0123',
      TOLLGATE_WEBHOOK_ALLOW_PRIVATE: 'true',
      TOLLGATE_BRAND_NAME: 'Acme API',
      TOLLGATE_SESSION_TIMEOUT_MS: '6000',
    },
    topics,
    clickhouse,
    put,
    putRecord: (tenantId, record) => {
      const stamp = { updated_at: new Date().toISOString(), updated_by: 'test' };
      return put(topics.tenants, tenantId, JSON.stringify({ tenant_id: tenantId, ...stamp, ...record }));
    },
    announce: async (tenantId, consumed, changes = {}) => {
      const atMs = Date.now();
      await put(topics.totals, tenantId, JSON.stringify(totalsOf(tenantId, consumed, atMs, changes)));
      return atMs;
    },
    close: async () => {
      await producer.close();
      await clickhouse.command(`DROP DATABASE ${database}`);
      await clickhouse.close();
    },
  };
}

export function totalsOf(
  tenantId: string,
  consumed: number,
  atMs: number,
  changes: Partial<PeriodTotals> = {},
): TenantTotals {
  const iso = new Date(atMs).toISOString();
  const counts = {
    requests: consumed,
    allowed: consumed,
    limited: 0,
    bypassed: 0,
    errors: 0,
    units: consumed,
    cost: 0,
  };
  const day = { start: iso.slice(0, 10), ...counts, consumed, ...changes };
  return {
    tenant_id: tenantId,
    plan: 'free',
    day,
    month: { ...day, start: `${iso.slice(0, 7)}-01` },
    day_by_route: { '*': consumed },
    complete_through: iso,
    announced_at: iso,
  };
}
