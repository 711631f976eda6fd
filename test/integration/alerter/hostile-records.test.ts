import { randomBytes } from 'node:crypto';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { eventually } from '../../support/servers.ts';
import { startServices } from '../../support/services.ts';
import type { Installation } from '../../support/services.ts';
import { prepareAlerting } from './alerting.ts';
import type { Alerting } from './alerting.ts';
import { startReceiver } from './receiver.ts';
import type { Receiver } from './receiver.ts';

const secret = `whsec_${randomBytes(32).toString('base64')}`;
let alerting: Alerting;
let receiver: Receiver;
let installation: Installation | undefined;

beforeAll(async () => {
  [alerting, receiver] = await Promise.all([prepareAlerting(), startReceiver(secret)]);
});

afterAll(async () => {
  await installation?.stop();
  await receiver.close();
  await alerting.close();
});

/**
 * Records that another program may write to the topics: JSON with the right fields, but with values that no alert has.
 */
const hostile: readonly object[] = [
  { also_crossed: Array<number>(300_000).fill(0) },
  { limit_name: '\ud800' },
  { tenant_id: 'half a pair \ud800' },
  { limit_name: 'x'.repeat(100_000) },
  { tenant_id: 'x'.repeat(100_000) },
];

test('C2: alerts that another program wrote stop neither the alerts of others nor their log', async () => {
  const at = new Date().toISOString();
  const alert = { kind: 'threshold', tenant_id: 'odd', plan: 'free', limit_name: 'day', threshold: 0.5 };
  for (const [index, part] of hostile.entries()) {
    const value = {
      ...alert,
      id: `odd-${index}`,
      period: at,
      limit: 1,
      used: 1,
      exhausted_at: null,
      at,
      ...part,
    };
    await alerting.put(alerting.topics.alerts, 'odd', JSON.stringify(value));
    const delivery = { channel: 'log', target_id: 'log', target: 'log', partition: 0, status: 'delivered' };
    const times = { attempts: 1, next_attempt_ms: 0, created_ms: 0, updated_ms: 0, error: '' };
    await alerting.put(
      alerting.topics.deliveries,
      `odd-${index}/log`,
      JSON.stringify({ alert: value, ...delivery, ...times }),
    );
  }
  await alerting.putRecord('other', {
    notifications: { webhooks: [{ url: `${receiver.url}/other`, secrets: [secret] }] },
  });
  installation = await startServices(['alerter'], alerting.env);
  await alerting.announce('other', 900);
  await eventually(() => receiver.received.some(({ path }) => path === '/other'));
  await eventually(async () => {
    const rows = await alerting.clickhouse.query(
      `SELECT channel FROM alerts WHERE tenant_id = 'other' AND channel = 'webhook' AND status = 'delivered'`,
      {},
    );
    expect(rows).toHaveLength(1);
    return true;
  });
});
