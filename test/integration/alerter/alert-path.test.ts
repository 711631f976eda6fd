import { randomBytes } from 'node:crypto';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createKafka } from '../../../shared/kafka/kafkajs/kafka.ts';
import { createProducer } from '../../../shared/kafka/producer/producer.ts';
import { topicsWith } from '../../../shared/kafka/topics.ts';
import { pino } from 'pino';
import { Registry } from 'prom-client';
import { runPolicy } from '../../support/policy-run.ts';
import type { PolicyRun } from '../../support/policy-run.ts';
import { eventually } from '../../support/servers.ts';
import { startReceiver } from './receiver.ts';
import type { Receiver } from './receiver.ts';

const secret = `whsec_${randomBytes(32).toString('base64')}`;
const tenants = Array.from({ length: 25 }, (_, index) => `crossing-${index}`);
let run: PolicyRun;
let receiver: Receiver;

beforeAll(async () => {
  receiver = await startReceiver(secret);
  run = await runPolicy('default', {
    services: ['gateway', 'aggregator', 'alerter'],
    edit: (text) => text.replace('limit: 1000, window: 1d', 'limit: 10, window: 1d'),
    env: {
      TOLLGATE_WEBHOOK_ALLOW_PRIVATE: 'true',
      TOLLGATE_SESSION_TIMEOUT_MS: '6000',
      TOLLGATE_HEARTBEAT_MS: '500',
    },
  });
});

afterAll(async () => {
  await run.stop();
  await receiver.close();
});

test('B7: a request that crosses 80 % of a quota is a signed webhook, once, from the client to the receiver', async () => {
  await subscribeAll();
  const crossedAtMs = new Map<string, number>();
  for (const tenantId of tenants) {
    const token = await run.token({ tenant_id: tenantId, tier: 'free' });
    await run.calls(7, 'GET /things', { token });
    await run.call('GET /things', { token });
    crossedAtMs.set(tenantId, Date.now());
  }
  const received = () => receiver.received.filter(({ alert }) => alert.threshold === 0.8);
  await eventually(() => received().length >= tenants.length);
  expect(new Set(received().map(({ id }) => id)).size).toBe(tenants.length);
  expect(receiver.rejected).toEqual([]);
  const latencies = received()
    .map(({ alert, atMs }) => atMs - (crossedAtMs.get(alert.tenant_id) ?? 0))
    .sort((a, b) => a - b);
  const at = (share: number) =>
    latencies[Math.min(latencies.length - 1, Math.floor(latencies.length * share))];
  process.stderr.write(`answered to webhook: p50 ${at(0.5)} ms, p99 ${at(0.99)} ms of ${latencies.length}\n`);
});

test('a heartbeat passes through the whole pipeline, and its time is a metric', async () => {
  const startedAtSeconds = Date.now() / 1000;
  const lastHeartbeat = async (): Promise<number> => {
    const answer = await fetch(`${run.installation.service('alerter').opsUrl}/metrics`);
    const line = /^tollgate_heartbeat_last_success_timestamp_seconds\{[^}]*\} (\S+)$/m.exec(
      await answer.text(),
    );
    return Number(line?.[1]);
  };
  await eventually(async () => (await lastHeartbeat()) > startedAtSeconds);
  const rows = await run.clickhouse.query('SELECT 1 FROM alerts WHERE tenant_id = {tenant:String}', {
    tenant: 'tollgate-heartbeat',
  });
  expect(rows).toEqual([]);
});

async function subscribeAll(): Promise<void> {
  const { env } = run.installation;
  const logger = pino({ level: 'silent' });
  const kafka = createKafka({ brokers: env['KAFKA_BROKERS'] ?? '', clientId: 'test', logger });
  const producer = createProducer(kafka, { registry: new Registry() });
  const records = tenants.map((tenantId) => ({
    tenant_id: tenantId,
    notifications: { thresholds: [0.8], webhooks: [{ url: `${receiver.url}/hook`, secrets: [secret] }] },
    updated_at: new Date().toISOString(),
    updated_by: 'test',
  }));
  await producer.send(
    topicsWith(env['TOLLGATE_TOPIC_PREFIX'] ?? '').tenants,
    records.map((record) => ({ key: record.tenant_id, value: JSON.stringify(record) })),
  );
  await producer.close();
}
