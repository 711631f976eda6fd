// Goal: after a reset, a raised limit, or a change of plan or policy, a tenant gets a recovery notification at once,
// also without traffic. When it crosses a threshold again, it gets one notification for each crossing.
import { randomBytes } from 'node:crypto';
import { mkdtemp, readFile, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { TenantRecord } from '../../../shared/domain/tenant.ts';
import { eventually } from '../../support/servers.ts';
import { startServices } from '../../support/services.ts';
import type { Installation } from '../../support/services.ts';
import { storeUsage } from '../../support/stored-usage.ts';
import { prepareAlerting } from './alerting.ts';
import type { Alerting } from './alerting.ts';
import { startReceiver } from './receiver.ts';
import type { Received, Receiver } from './receiver.ts';

const secret = `whsec_${randomBytes(32).toString('base64')}`;
let alerting: Alerting;
let receiver: Receiver;
let installation: Installation;
let policyPath: string;

beforeAll(async () => {
  policyPath = join(await mkdtemp(join(tmpdir(), 'tollgate-policy-')), 'policy.yaml');
  await writeFile(policyPath, await readFile('policies/default.yaml', 'utf8'));
  [alerting, receiver] = await Promise.all([prepareAlerting(), startReceiver(secret)]);
  installation = await startServices(['alerter'], { ...alerting.env, TOLLGATE_POLICY: policyPath });
});

afterAll(async () => {
  await installation.stop();
  await receiver.close();
  await alerting.close();
});

function put(tenantId: string, record: Partial<TenantRecord> = {}): Promise<void> {
  const webhooks = [{ url: `${receiver.url}/${tenantId}`, secrets: [secret] }];
  return alerting.putRecord(tenantId, { notifications: { webhooks }, ...record });
}

/** Stores an event with these units in ClickHouse, and announces the new total of the day. */
async function use(tenantId: string, units: number, total: number, timeMs = Date.now()): Promise<void> {
  await storeUsage(alerting.clickhouse, [{ tenant: tenantId, units, timeMs, route: '*' }]);
  await alerting.announce(tenantId, total);
}

/**
 * Messages of the tenant, each id once: if an alerter is killed before it stores the outcome of a delivery, it sends
 * the message again with the same id.
 */
function at(tenantId: string): Received[] {
  const own = receiver.received.filter(({ path }) => path === `/${tenantId}`);
  return [...new Map(own.toReversed().map((one) => [one.id, one])).values()].toReversed();
}

const kindsOf = (tenantId: string): string[] =>
  at(tenantId).map(({ alert }) => `${alert.kind} ${alert.threshold} of ${alert.limit}`);

async function expectSaid(tenantId: string, expected: readonly string[]): Promise<void> {
  await eventually(() => at(tenantId).length >= expected.length);
  expect(kindsOf(tenantId)).toEqual(expected);
}

test('a reset sends a recovery without any traffic, and thresholds that are crossed again are sent again', async () => {
  await put('reset');
  await use('reset', 1000, 1000, Date.now() - 60_000);
  await expectSaid('reset', ['exceeded 1 of 1000']);
  const reset = { at_ms: Date.now(), actor: 'kim', day_units: 1000, month_units: 1000 };
  await put('reset', { reset });
  await expectSaid('reset', ['exceeded 1 of 1000', 'recovered 1 of 1000']);
  await use('reset', 850, 1850, reset.at_ms + 1);
  await expectSaid('reset', ['exceeded 1 of 1000', 'recovered 1 of 1000', 'threshold 0.8 of 1000']);
  await alerting.announce('reset', 1850);
  await use('reset', 150, 2000, reset.at_ms + 2);
  await expectSaid('reset', [
    ...['exceeded 1 of 1000', 'recovered 1 of 1000', 'threshold 0.8 of 1000', 'exceeded 1 of 1000'],
  ]);
});

test('a raised limit sends a recovery without any traffic, and the crossing of the raised limit sends its threshold', async () => {
  await put('raised');
  await use('raised', 1000, 1000);
  await expectSaid('raised', ['exceeded 1 of 1000']);
  await put('raised', { overrides: { day: 1200 } });
  await expectSaid('raised', ['exceeded 1 of 1000', 'recovered 1 of 1200']);
  await use('raised', 100, 1100);
  await expectSaid('raised', ['exceeded 1 of 1000', 'recovered 1 of 1200', 'threshold 0.9 of 1200']);
  await use('raised', 100, 1200);
  await expectSaid('raised', [
    ...['exceeded 1 of 1000', 'recovered 1 of 1200', 'threshold 0.9 of 1200', 'exceeded 1 of 1200'],
  ]);
});

test('the end of a boost is evaluated without any traffic', async () => {
  const [startsMs, endsMs] = [Date.now() - 1_000, Date.now() + 4_000];
  const boost = {
    ...{ id: 'b', limit: 'day', set_to: 5000, reason: 'launch', actor: 'kim' },
    starts_at: new Date(startsMs).toISOString(),
    ends_at: new Date(endsMs).toISOString(),
  };
  await put('boosted', { boosts: [boost] });
  await use('boosted', 1000, 1000);
  await expectSaid('boosted', ['exceeded 1 of 1000']);
  expect(at('boosted')[0]?.atMs).toBeGreaterThanOrEqual(endsMs);
});

test('a change to a plan without the quota sends a recovery', async () => {
  await put('upgraded');
  await use('upgraded', 1000, 1000);
  await expectSaid('upgraded', ['exceeded 1 of 1000']);
  await put('upgraded', { plan: 'pro' });
  await expectSaid('upgraded', ['exceeded 1 of 1000', 'recovered 1 of 1000']);
});

test('a change made while no alerter ran is sent when one starts, and nothing is sent twice', async () => {
  await put('away');
  await use('away', 1000, 1000);
  await expectSaid('away', ['exceeded 1 of 1000']);
  await installation.service('alerter').kill();
  await put('away', { overrides: { day: 4000 } });
  await installation.service('alerter').restart();
  await expectSaid('away', ['exceeded 1 of 1000', 'recovered 1 of 4000']);
  await use('away', 2400, 3400);
  await expectSaid('away', ['exceeded 1 of 1000', 'recovered 1 of 4000', 'threshold 0.8 of 4000']);
  await installation.service('alerter').kill();
  await installation.service('alerter').restart();
  await alerting.announce('away', 3400);
  await use('away', 600, 4000);
  await expectSaid('away', [
    ...['exceeded 1 of 1000', 'recovered 1 of 4000', 'threshold 0.8 of 4000', 'exceeded 1 of 4000'],
  ]);
});

test('an edit of the policy that raises a limit sends a recovery without any traffic', async () => {
  await put('edited');
  await use('edited', 1000, 1000);
  await expectSaid('edited', ['exceeded 1 of 1000']);
  const text = await readFile(policyPath, 'utf8');
  await writeFile(policyPath, text.replace('limit: 1000, window: 1d', 'limit: 3000, window: 1d'));
  await expectSaid('edited', ['exceeded 1 of 1000', 'recovered 1 of 3000']);
});
