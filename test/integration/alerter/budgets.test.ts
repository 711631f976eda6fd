// Goal: a budget of money raises the alerts of quotas: a threshold, and a forecast to the end of the period, in the policy's
// currency.
import { randomBytes } from 'node:crypto';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { eventually } from '../../support/servers.ts';
import { startServices } from '../../support/services.ts';
import type { Installation } from '../../support/services.ts';
import { prepareAlerting, totalsOf } from './alerting.ts';
import type { Alerting } from './alerting.ts';
import { startReceiver } from './receiver.ts';
import type { Receiver } from './receiver.ts';

const secret = `whsec_${randomBytes(32).toString('base64')}`;
let alerting: Alerting;
let receiver: Receiver;
let installation: Installation;

beforeAll(async () => {
  [alerting, receiver] = await Promise.all([prepareAlerting(), startReceiver(secret)]);
  const policy = { TOLLGATE_POLICY: 'policies/ai-budgets.yaml' };
  installation = await startServices(['alerter'], { ...alerting.env, ...policy });
});

afterAll(async () => {
  await installation.stop();
  await receiver.close();
  await alerting.close();
});

const metrics = async (): Promise<string> =>
  (await fetch(`${installation.service('alerter').opsUrl}/metrics`)).text();

/** Announces what the tenant has spent in this month, and waits until the alerter has evaluated it. */
async function announceSpend(tenantId: string, usd: number, atMs: number): Promise<void> {
  const evaluated = async (): Promise<number> =>
    Number(/^tollgate_evaluation_age_seconds_count\S* (\d+)/m.exec(await metrics())?.[1] ?? 0);
  const before = await evaluated();
  const totals = totalsOf(tenantId, 1, atMs, { quantities: { usd, tokens: 10 }, reserved: {} });
  await alerting.put(alerting.topics.totals, tenantId, JSON.stringify(totals));
  await eventually(async () => (await evaluated()) > before);
}

async function subscribe(tenantId: string): Promise<void> {
  await alerting.putRecord(tenantId, {
    plan: 'free',
    notifications: { webhooks: [{ url: `${receiver.url}/${tenantId}`, secrets: [secret] }] },
  });
}

const received = (tenantId: string) =>
  receiver.received.filter(({ path }) => path === `/${tenantId}`).map(({ alert }) => alert);

test('F1: a budget that will be used up before the end of its month raises a forecast, once', async () => {
  await subscribe('spending');
  const nowMs = Date.now();
  // A quarter of 5 USD is used, and nearly another quarter in six minutes.
  await announceSpend('spending', 1.26, nowMs - 6 * 60_000);
  await announceSpend('spending', 2.49, nowMs);
  const [forecast] = await eventually(() => (received('spending').length > 0 ? received('spending') : null));
  expect(forecast).toMatchObject({
    ...{ kind: 'forecast', limit_name: 'spend', limit: 5, used: 2.49 },
    ...{ quantity: 'usd', decimals: 6, currency: 'USD' },
  });
  // 2.51 USD are left, at 1.23 USD in six minutes.
  const minutes = (Date.parse(forecast?.exhausted_at ?? '') - nowMs) / 60_000;
  expect(minutes).toBeGreaterThan(12);
  expect(minutes).toBeLessThan(13);
  await announceSpend('spending', 2.495, nowMs + 1);
  await subscribe('marker');
  await announceSpend('marker', 2.5, nowMs + 2);
  await eventually(() => received('marker').length === 1);
  expect(received('spending')).toHaveLength(1);
});

test('B7: a budget over 90 % is named for on-call with its tenant, limit and currency', async () => {
  await subscribe('nearly');
  await announceSpend('nearly', 4.65, Date.now());
  await eventually(() => received('nearly').length === 1);
  const units = () =>
    alerting.clickhouse.query<{ unit: string }>(
      "SELECT unit FROM alerts WHERE tenant_id = 'nearly' AND channel = 'webhook'",
    );
  await eventually(async () => (await units())[0]?.unit === 'USD');
  expect(await metrics()).toMatch(
    /^tollgate_quota_over_90_ratio\{tenant="nearly",limit="spend",allowed="5 USD"[^}]*\} 0\.93$/m,
  );
});
