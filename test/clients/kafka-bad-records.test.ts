// Goal: whatever one writer puts on a topic, every consumer goes on: records of others before and behind it have their effect,
// no process restarts, and what could not be used is a dead letter that names where it stood.
// Method: all five services as processes, librdkafka as the other writer, and one table of records for every topic. Between
// every two of them a record of another tenant must have its effect.
import { beforeAll, afterAll, describe, expect, test } from 'vitest';
import { meterEvent } from '../integration/aggregator/events.ts';
import { prepareAlerting, totalsOf } from '../integration/alerter/alerting.ts';
import type { Alerting } from '../integration/alerter/alerting.ts';
import { eventually, servers, uniqueName } from '../support/servers.ts';
import { startServices } from '../support/services.ts';
import type { Installation, ServiceName } from '../support/services.ts';
import { alertOf } from '../unit/alerter/deliver/alert-of.ts';
import { badKinds } from './bad-records.ts';
import type { BadKind, Fate, GoodRecord, TopicName } from './bad-records.ts';
import { produceExternally } from './external-producer.ts';
import type { ExternalJob, RecordMetadata } from './external-producer.ts';

const serviceNames: readonly ServiceName[] = ['gateway', 'aggregator', 'reconciler', 'alerter', 'console'];
const topicNames: readonly TopicName[] = ['usage', 'totals', 'tenants', 'alerts', 'deliveries'];
const adminToken = 'not-an-admin-token-0123456789abcdef';

let alerting: Alerting;
let installation: Installation;
let pids: readonly number[];
/** What consumers restarted while they started: a new broker makes its topics for groups and transactions then. */
let restartsAtFirst: readonly string[];

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
  restartsAtFirst = await restarts();
});

afterAll(async () => {
  await installation.stop();
  await alerting.close();
});

const day = new Date().toISOString().slice(0, 10);

/** A record that each consumer of the topic has to act on, and nothing else does. */
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

/** Resolves once every consumer of the topic has acted on each tenant's record. */
const effects: Readonly<Record<TopicName, (tenants: readonly string[]) => Promise<void>>> = {
  usage: (tenants) => untilIn('usage_events', tenants),
  alerts: (tenants) => untilIn('alerts', tenants),
  deliveries: (tenants) => untilIn('alerts', tenants),
  async totals(tenants) {
    // The alerter's two consumers; then the reconciler's counter, as support sees it.
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

interface Letter {
  readonly reason: string;
  readonly topic: string;
  readonly partition: number;
  readonly offset: number;
  readonly bytes: number;
}

async function letters(): Promise<Map<string, Letter>> {
  const { status, body } = await admin('GET', 'dead-letters?limit=1000');
  expect(status).toBe(200);
  const listed = body['dead_letters'] as (Letter & { from: string })[];
  return new Map(listed.map((letter) => [letter.from, letter]));
}

async function expectAlive(): Promise<void> {
  expect(serviceNames.map((name) => installation.service(name).pid())).toEqual(pids);
  for (const name of serviceNames) {
    expect((await fetch(`${installation.service(name).opsUrl}/readyz`)).status, name).toBe(200);
  }
  expect(await restarts()).toEqual(restartsAtFirst);
}

async function restarts(): Promise<string[]> {
  const all = serviceNames.map(async (name) => {
    const metrics = await (await fetch(`${installation.service(name).opsUrl}/metrics`)).text();
    return metrics.match(/^tollgate_kafka_consumer_restarts_total\{.*$/gm) ?? [];
  });
  return (await Promise.all(all)).flat();
}

describe.each(topicNames)('on the topic of %s', (name) => {
  test('every kind of record has its fate, and others have theirs before and behind it', async () => {
    const { kafkaBrokers } = servers();
    const stem = uniqueName(name);
    const tenantOf = (index: number): string => `${stem}-${index}`;
    const job = (record: object, more: Partial<ExternalJob> = {}): ExternalJob => ({
      records: [{ topic: alerting.topics[name], partition: 0, ...record }],
      ...more,
    });
    const jobs = badKinds.flatMap(({ record, config, transaction }: BadKind, index) => [
      job(good(name, tenantOf(index))),
      job(record(good(name, `${stem}-bad-${index}`)), {
        ...(config === undefined ? {} : { config }),
        ...(transaction === undefined
          ? {}
          : { transaction, config: { ...config, 'transactional.id': `${stem}-${index}` } }),
      }),
    ]);
    const places = await produceExternally(kafkaBrokers, [
      ...jobs,
      job(good(name, tenantOf(badKinds.length))),
    ]);
    const others = Array.from({ length: badKinds.length + 1 }, (_, index) => tenantOf(index));
    const fates = badKinds.map(({ fate }): Fate => (typeof fate === 'string' ? fate : fate[name]));
    const handled = fates.flatMap((fate, index) =>
      fate === 'handled' && badKinds[index]?.name !== 'no value' ? [`${stem}-bad-${index}`] : [],
    );
    await effects[name]([...others, ...handled]);
    const found = await letters();
    const told = badKinds.map((kind, index) => ({
      kind: kind.name,
      fate: fateOf(places[index * 2 + 1]?.[0], found, alerting.topics[name], fates[index] ?? 'handled'),
    }));
    expect(told).toEqual(badKinds.map((kind, index) => ({ kind: kind.name, fate: fates[index] })));
    const goodLetters = places
      .filter((_, index) => index % 2 === 0)
      .filter(([place]) => isLetter(place, found, name));
    expect(goodLetters).toEqual([]);
    await expectAlive();
    // By which the alert on dead letters fires, and names the topic.
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

function isLetter(
  place: RecordMetadata | undefined,
  found: ReadonlyMap<string, Letter>,
  name: TopicName,
): boolean {
  return place !== undefined && 'offset' in place && found.has(from(alerting.topics[name], place));
}

function from(topic: string, { partition, offset }: { partition: number; offset: number }): string {
  return `${topic} (${partition}-${offset})`;
}

/** As it shows: what is neither refused nor a letter has been handled, or passed over as was to be. */
function fateOf(
  place: RecordMetadata | undefined,
  found: ReadonlyMap<string, Letter>,
  topic: string,
  expected: Fate,
): Fate | undefined {
  if (place === undefined || 'error' in place) return place === undefined ? undefined : 'refused';
  if (found.has(from(topic, place))) return 'letter';
  return expected === 'handled' || expected === 'nothing' ? expected : undefined;
}
