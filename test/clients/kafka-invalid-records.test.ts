// Goal: no record stops a consumer: valid records before and after an invalid record are processed, no process
// restarts, and an unusable record becomes a dead letter with its partition and offset. Method: all services run as
// processes, and librdkafka writes each kind of invalid record to every topic. Between every two invalid records there
// is a valid record of another tenant, which must be processed.
import { beforeAll, afterAll, describe, expect, test } from 'vitest';
import { meterEvent } from '../integration/aggregator/events.ts';
import { prepareAlerting, totalsOf } from '../integration/alerter/alerting.ts';
import type { Alerting } from '../integration/alerter/alerting.ts';
import { eventually, servers, uniqueName } from '../support/servers.ts';
import { startServices } from '../support/services.ts';
import type { Installation } from '../support/services.ts';
import { alertOf } from '../unit/alerter/deliver/alert-of.ts';
import { invalidRecordKinds } from './invalid-records.ts';
import type { InvalidRecordKind, Fate, GoodRecord, TopicName } from './invalid-records.ts';
import { produceExternally } from './external-producer.ts';
import type { ExternalJob, RecordMetadata } from './external-producer.ts';
import type { ServiceName } from '../../dev/stack/services.ts';
import { serviceNames } from '../../dev/stack/services.ts';

const topicNames: readonly TopicName[] = ['usage', 'totals', 'tenants', 'alerts', 'deliveries'];
const adminToken = 'not-an-admin-token-0123456789abcdef';

let alerting: Alerting;
let installation: Installation;
let pids: readonly number[];
/**
 * Consumers that restarted during the start. These restarts are allowed, because a new broker then creates its internal
 * topics for groups and transactions.
 */
let restartsAtStart: readonly string[];

beforeAll(async () => {
  alerting = await prepareAlerting();
  installation = await startServices(serviceNames, {
    ...alerting.env,
    TOLLGATE_ADMIN_TOKEN: adminToken,
    TOLLGATE_PORTAL_SECRET: 'not-a-portal-secret-0123456789abcdef',
  });
  pids = serviceNames.map((name) => installation.service(name).pid());
  for (const name of topicNames) {
    await produceExternally(servers().kafkaBrokers, [
      { records: [{ partition: 0, ...good(name, `first-${name}`) }] },
    ]);
    await effects[name]([`first-${name}`]);
  }
  restartsAtStart = await restarts();
});

afterAll(async () => {
  await installation.stop();
  await alerting.close();
});

const day = new Date().toISOString().slice(0, 10);

/** Valid records, which every consumer of the topic processes with a visible effect. */
const goodRecords: Readonly<Record<TopicName, (tenant: string) => object>> = {
  usage: (tenant) => meterEvent(tenant),
  totals: (tenant) => totalsOf(tenant, 950, Date.now()),
  tenants: (tenant) => ({
    tenant_id: tenant,
    plan: 'pro',
    updated_at: new Date().toISOString(),
    updated_by: 'test',
  }),
  alerts: (tenant) => alertOf(tenant, { id: `alert-${tenant}`, period: `${day}T00:00:00.000Z` }),
  deliveries: (tenant) => ({
    alert: alertOf(tenant, { id: `alert-${tenant}`, period: `${day}T00:00:00.000Z` }),
    channel: 'log',
    target_id: 'log',
    target: 'log',
    partition: 0,
    status: 'delivered',
    attempts: 1,
    next_attempt_ms: 0,
    created_ms: 0,
    updated_ms: 0,
    error: '',
  }),
};

function good(name: TopicName, tenant: string): GoodRecord {
  const key = name === 'deliveries' ? `alert-${tenant}/log` : tenant;
  return { topic: alerting.topics[name], key, value: JSON.stringify(goodRecords[name](tenant)) };
}

async function admin(
  method: string,
  path: string,
): Promise<{ status: number; body: Record<string, unknown> }> {
  const response = await fetch(`${installation.urls.admin}/admin/v1/${path}`, {
    method,
    headers: { authorization: `Bearer ${adminToken}` },
  });
  return { status: response.status, body: (await response.json()) as Record<string, unknown> };
}

async function tenantsIn(table: string): Promise<Set<string>> {
  const rows = await alerting.clickhouse.query<{ tenant_id: string }>(
    `SELECT DISTINCT toString(tenant_id) AS tenant_id FROM ${table}`,
  );
  return new Set(rows.map(({ tenant_id }) => tenant_id));
}

/** Functions that resolve when every consumer of the topic has processed the records of the tenants. */
const effects: Readonly<Record<TopicName, (tenants: readonly string[]) => Promise<void>>> = {
  usage: (tenants) => untilIn('usage_events', tenants),
  alerts: (tenants) => untilIn('alerts', tenants),
  deliveries: (tenants) => untilIn('alerts', tenants),
  async totals(tenants) {
    // The effect of the alerter's two consumers is checked first, then the effect of the reconciler, which raises a
    // counter in Redis.
    await untilIn('alerts', tenants);
    for (const tenant of tenants) {
      await eventually(
        async () => Number((await admin('GET', `tenants/${tenant}/status`)).body['requests_today']) >= 950,
      );
    }
  },
  async tenants(tenants) {
    await untilIn('tenants', tenants);
    for (const tenant of tenants) {
      await eventually(async () => (await admin('GET', `tenants/${tenant}`)).body['plan'] === 'pro');
    }
  },
};

async function untilIn(table: string, tenants: readonly string[]): Promise<void> {
  await eventually(
    async () => {
      const found = await tenantsIn(table);
      expect(tenants.filter((tenant) => !found.has(tenant))).toEqual([]);
      return true;
    },
    { timeoutMs: 60_000 },
  );
}

interface DeadLetter {
  readonly reason: string;
  readonly topic: string;
  readonly partition: number;
  readonly offset: number;
  readonly bytes: number;
}

async function deadLetters(): Promise<Map<string, DeadLetter>> {
  const { status, body } = await admin('GET', 'dead-letters?limit=1000');
  expect(status).toBe(200);
  const listed = body['dead_letters'] as (DeadLetter & { from: string })[];
  return new Map(listed.map((letter) => [letter.from, letter]));
}

async function expectAlive(): Promise<void> {
  expect(serviceNames.map((name) => installation.service(name).pid())).toEqual(pids);
  for (const name of serviceNames) {
    // A server that is slow for a moment makes a service unready, and not dead.
    await expect
      .poll(async () => (await fetch(`${installation.service(name).opsUrl}/readyz`)).status)
      .toBe(200);
  }
  expect(await restarts()).toEqual(restartsAtStart);
}

async function restarts(): Promise<string[]> {
  const all = serviceNames.map(async (name) => {
    const metrics = await (await fetch(`${installation.service(name).opsUrl}/metrics`)).text();
    return metrics.match(/^tollgate_kafka_consumer_restarts_total\{.*$/gm) ?? [];
  });
  return (await Promise.all(all)).flat();
}

describe.each(topicNames)('on the topic of %s', (name) => {
  test('every kind of invalid record has its expected result, and valid records before and after it are processed', async () => {
    const { kafkaBrokers } = servers();
    const stem = uniqueName(name);
    const tenantOf = (index: number): string => `${stem}-${index}`;
    const job = (record: object, more: Partial<ExternalJob> = {}): ExternalJob => ({
      records: [{ topic: alerting.topics[name], partition: 0, ...record }],
      ...more,
    });
    const jobs = invalidRecordKinds.flatMap(({ record, config, transaction }: InvalidRecordKind, index) => [
      job(good(name, tenantOf(index))),
      job(record(good(name, `${stem}-bad-${index}`)), {
        ...(config === undefined ? {} : { config }),
        ...(transaction === undefined
          ? {}
          : { transaction, config: { ...config, 'transactional.id': `${stem}-${index}` } }),
      }),
    ]);
    const produced = await produceExternally(kafkaBrokers, [
      ...jobs,
      job(good(name, tenantOf(invalidRecordKinds.length))),
    ]);
    const others = Array.from({ length: invalidRecordKinds.length + 1 }, (_, index) => tenantOf(index));
    const fates = invalidRecordKinds.map(({ fate }): Fate => (typeof fate === 'string' ? fate : fate[name]));
    const processed = fates.flatMap((fate, index) =>
      fate === 'processed' && invalidRecordKinds[index]?.name !== 'no value' ? [`${stem}-bad-${index}`] : [],
    );
    await effects[name]([...others, ...processed]);
    const found = await deadLetters();
    const observed = invalidRecordKinds.map((kind, index) => ({
      kind: kind.name,
      fate: fateOf(produced[index * 2 + 1]?.[0], found, alerting.topics[name], fates[index] ?? 'processed'),
    }));
    expect(observed).toEqual(
      invalidRecordKinds.map((kind, index) => ({ kind: kind.name, fate: fates[index] })),
    );
    const deadLettersOfValidRecords = produced
      .filter((_, index) => index % 2 === 0)
      .filter(([metadata]) => isDeadLetter(metadata, found, name));
    expect(deadLettersOfValidRecords).toEqual([]);
    await expectAlive();
    // The alert rule for dead letters uses this metric and its label.
    const metrics = await (await fetch(`${installation.service(writerOf[name]).opsUrl}/metrics`)).text();
    expect(metrics).toMatch(
      new RegExp(`^tollgate_dead_letters_total\\{topic="${alerting.topics[name]}".*\\} [1-9]`, 'm'),
    );
  });
});

/** The service that writes the dead letters of a topic. */
const writerOf: Readonly<Record<TopicName, ServiceName>> = {
  usage: 'aggregator',
  totals: 'reconciler',
  tenants: 'aggregator',
  alerts: 'alerter',
  deliveries: 'alerter',
};

function isDeadLetter(
  metadata: RecordMetadata | undefined,
  found: ReadonlyMap<string, DeadLetter>,
  name: TopicName,
): boolean {
  return metadata !== undefined && 'offset' in metadata && found.has(from(alerting.topics[name], metadata));
}

function from(topic: string, { partition, offset }: { partition: number; offset: number }): string {
  return `${topic} (${partition}-${offset})`;
}

/**
 * Returns what happened to the record. If it was neither refused nor written as a dead letter, it counts as `processed`
 * or `skipped`, whichever the test expects.
 */
function fateOf(
  metadata: RecordMetadata | undefined,
  found: ReadonlyMap<string, DeadLetter>,
  topic: string,
  expected: Fate,
): Fate | undefined {
  if (metadata === undefined || 'error' in metadata) return metadata === undefined ? undefined : 'refused';
  if (found.has(from(topic, metadata))) return 'dead letter';
  return expected === 'processed' || expected === 'skipped' ? expected : undefined;
}
