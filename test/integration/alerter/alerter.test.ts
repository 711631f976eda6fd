import { randomBytes } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { eventually } from '../../support/servers.ts';
import { startServices } from '../../support/services.ts';
import type { Installation } from '../../support/services.ts';
import { prepareAlerting } from './alerting.ts';
import type { Alerting } from './alerting.ts';
import { startReceiver } from './receiver.ts';
import type { Received, Receiver } from './receiver.ts';

const secret = `whsec_${randomBytes(32).toString('base64')}`;
let alerting: Alerting;
let receiver: Receiver;
let installation: Installation;

beforeAll(async () => {
  [alerting, receiver] = await Promise.all([prepareAlerting(), startReceiver(secret)]);
  const retries = { TOLLGATE_WEBHOOK_ATTEMPTS_MAX: '4', TOLLGATE_WEBHOOK_RETRY_MS: '20' };
  installation = await startServices(['alerter'], { ...alerting.env, ...retries });
});

afterAll(async () => {
  await installation.stop();
  await receiver.close();
  await alerting.close();
});

async function subscribe(tenantId: string, path = `/${tenantId}`, secrets = [secret]): Promise<void> {
  await alerting.putRecord(tenantId, {
    notifications: { webhooks: [{ url: `${receiver.url}${path}`, secrets }] },
  });
}

const receivedAt = (path: string) => receiver.received.filter((one) => one.path === path);

async function firstAt(path: string): Promise<Received> {
  return await eventually(() => receivedAt(path)[0]);
}

interface Row {
  readonly alert_id: string;
  readonly kind: string;
  readonly threshold: number;
  readonly channel: string;
  readonly status: string;
  readonly attempts: number;
  readonly error: string;
}

function rowsOf(tenantId: string): Promise<Row[]> {
  return alerting.clickhouse.query<Row>(
    `SELECT alert_id, kind, threshold, channel, status, attempts, error FROM alerts
     WHERE tenant_id = {tenantId:String} ORDER BY threshold, channel`,
    { tenantId },
  );
}

describe('B7, C8: a threshold', () => {
  test('that is crossed reaches the webhook once, signed, and is in the delivery log', async () => {
    await subscribe('once');
    await alerting.announce('once', 100);
    const crossedAtMs = await alerting.announce('once', 812);
    const first = await firstAt('/once');
    expect(first).toMatchObject({
      type: 'tollgate.alert.threshold',
      sender: { name: 'Acme API', portal_url: expect.stringMatching(/^http:/) as string },
      alert: {
        tenant_id: 'once',
        limit_name: 'day',
        threshold: 0.8,
        used: 812,
        limit: 1000,
        also_crossed: [0.5],
      },
    });
    expect(first.id).toBe(first.alert.id);
    await alerting.announce('once', 815);
    process.stderr.write(`announced to received: ${first.atMs - crossedAtMs} ms\n`);
    await eventually(async () => {
      const rows = (await rowsOf('once')).map(({ threshold, channel, status }) => [
        threshold,
        channel,
        status,
      ]);
      expect(rows).toEqual([
        [0.5, '', 'superseded'],
        [0.8, 'log', 'delivered'],
        [0.8, 'webhook', 'delivered'],
      ]);
      return true;
    });
    await alerting.announce('once', 1000);
    await eventually(() => receivedAt('/once').length > 1);
    expect(receivedAt('/once').map(({ alert }) => [alert.kind, alert.threshold])).toEqual([
      ['threshold', 0.8],
      ['exceeded', 1],
    ]);
    expect(receiver.rejected).toEqual([]);
  });

  test("of the tenant's own record replaces the policy's", async () => {
    await alerting.putRecord('own', {
      overrides: { day: 200 },
      notifications: { thresholds: [0.33], webhooks: [{ url: `${receiver.url}/own`, secrets: [secret] }] },
    });
    await alerting.announce('own', 180);
    const first = await firstAt('/own');
    expect(first.alert).toMatchObject({ threshold: 0.33, limit: 200, used: 180 });
  });

  test('that was exceeded sends a recovery after the limit is raised', async () => {
    await subscribe('raised');
    await alerting.announce('raised', 1000);
    await eventually(() => receivedAt('/raised').length === 1);
    await alerting.putRecord('raised', {
      overrides: { day: 5000 },
      notifications: { webhooks: [{ url: `${receiver.url}/raised`, secrets: [secret] }] },
    });
    await eventually(async () => {
      await alerting.announce('raised', 1001);
      return receivedAt('/raised').length > 1;
    });
    expect(receivedAt('/raised')[1]?.alert).toMatchObject({ kind: 'recovered', limit: 5000 });
  });
});

describe('a webhook', () => {
  test('that fails is retried with the same id, and the last failure is a dead letter', async () => {
    await subscribe('failing');
    receiver.answer('/failing', 500);
    await alerting.announce('failing', 900);
    await eventually(async () => (await rowsOf('failing')).some(({ status }) => status === 'dead'));
    expect(receivedAt('/failing')).toHaveLength(4);
    expect(new Set(receivedAt('/failing').map(({ id }) => id)).size).toBe(1);
    expect(await rowsOf('failing')).toContainEqual(
      expect.objectContaining({ channel: 'webhook', status: 'dead', attempts: 4, error: 'answered 500' }),
    );
  });

  test('that fails delays no other target', async () => {
    await subscribe('stuck');
    await subscribe('quick');
    receiver.answer('/stuck', 503);
    await alerting.announce('stuck', 900);
    await firstAt('/stuck');
    await alerting.announce('quick', 900);
    await eventually(() => receivedAt('/quick').length > 0);
  });

  test('that answers 410 gets nothing until the record is written again', async () => {
    await subscribe('gone');
    receiver.answer('/gone', 410);
    await alerting.announce('gone', 500);
    await eventually(async () => (await rowsOf('gone')).some(({ status }) => status === 'dead'));
    await alerting.announce('gone', 800);
    await eventually(async () => (await rowsOf('gone')).some(({ status }) => status === 'dropped'));
    expect(receivedAt('/gone')).toHaveLength(1);
    receiver.answer('/gone', 200);
    await subscribe('gone');
    await eventually(async () => {
      await alerting.announce('gone', 900);
      return receivedAt('/gone').length > 1;
    });
  });

  test('of a record that names no http target is not used: the last good record stays', async () => {
    await subscribe('inside');
    await alerting.putRecord('inside', {
      notifications: { webhooks: [{ url: 'ftp://127.0.0.1/x', secrets: [secret] }] },
    });
    await alerting.announce('inside', 900);
    expect((await firstAt('/inside')).path).toBe('/inside');
    expect((await rowsOf('inside')).map(({ status }) => status)).not.toContain('dead');
  });

  test('receives a test message on demand, through the alerts topic', async () => {
    await subscribe('tested');
    const now = new Date().toISOString();
    const alert = {
      id: 'test-1',
      kind: 'test',
      tenant_id: 'tested',
      plan: 'free',
      limit_name: '',
      threshold: 0,
    };
    const value = { ...alert, period: now, limit: 0, used: 0, exhausted_at: null, at: now };
    await alerting.put(alerting.topics.alerts, 'tested', JSON.stringify(value));
    const first = await firstAt('/tested');
    expect(first).toMatchObject({ id: 'test-1', type: 'tollgate.alert.test' });
  });
});

test('unreadable totals and alerts become dead letters, and the process continues', async () => {
  await alerting.put(alerting.topics.totals, 'bad', 'not JSON');
  await alerting.put(alerting.topics.totals, 'bad', '{"tenant_id":"bad"}');
  await alerting.put(alerting.topics.alerts, 'bad', '[1,2');
  await subscribe('after');
  await alerting.announce('after', 900);
  await firstAt('/after');
  await expect
    .poll(async () => (await fetch(`${installation.service('alerter').opsUrl}/metrics`)).text())
    .toMatch(/tollgate_totals_unreadable_total\{[^}]*\} 2/);
});
