// Goal: stored values whose sum exceeds a double, written before values were bounded, are shown as unknown. They cause
// no error and affect no decision. Method: ClickHouse stores events with too large values of one tenant, and valid
// events of another tenant.
import { Registry } from 'prom-client';
import { pino } from 'pino';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createAnnouncer } from '../../services/aggregator/announce.ts';
import { createDrift } from '../../services/reconciler/restore/drift.ts';
import { createQuotaRestorer } from '../../services/reconciler/restore/quota-restorer.ts';
import { readTenantQuotas } from '../../services/reconciler/restore/tenant-readings.ts';
import { readConsumed } from '../../shared/clickhouse/queries/consumption/consumed.ts';
import { periodTotals } from '../../shared/clickhouse/queries/period-totals.ts';
import { completeReadings } from '../../shared/clickhouse/queries/consumption/complete-readings.ts';
import { periodAt } from '../../shared/domain/time/calendar.ts';
import type { TenantTotals } from '../../shared/domain/topics/totals.ts';
import { readTotals } from '../../shared/domain/topics/totals.ts';
import { loadPolicy } from '../../shared/policy/load.ts';
import { readingsOf } from '../../shared/policy/quota-readings.ts';
import { systemClock } from '../../shared/runtime/time/clock.ts';
import { createFixture, adminToken } from '../integration/console/fixture.ts';
import type { Fixture } from '../integration/console/fixture.ts';
import { get, post, visit } from '../integration/console/browser.ts';
import { as, startGateway } from '../integration/gateway/gateway.ts';
import type { TestGateway } from '../integration/gateway/gateway.ts';
import { storeUsage } from '../support/stored-usage.ts';

const policy = await loadPolicy('policies/default.yaml', {}, { secrets: 'optional' });
const nowMs = Date.now();
const clock = systemClock;

let fixture: Fixture;
let gateway: TestGateway;
let operator: string;
beforeAll(async () => {
  fixture = await createFixture();
  const timeMs = Math.max(periodAt('day', null, nowMs).startMs, nowMs - 60_000);
  const giant = { timeMs, tenant: 'giant', units: 1.7e308 };
  await storeUsage(fixture.clickhouse, [
    giant,
    { ...giant, timeMs: timeMs + 1 },
    { ...giant, decision: 'limited', limitedBy: ['minute'] },
    { ...giant, tenant: 'good', units: 3 },
  ]);
  gateway = await startGateway({ policy: {}, database: fixture.clickhouse.options.database });
  operator =
    (await post(fixture, '/operator/sign-in', { token: adminToken, name: 'kim' })).cookie.split(';')[0] ?? '';
});
afterAll(async () => {
  await gateway.close();
  await fixture.dispose();
});

test('GET /v1/usage answers 200 with unknown units, and the known of others', async () => {
  const usage = async (tenant: string) => {
    const response = await fetch(`${gateway.apiUrl}/v1/usage`, { headers: await as(tenant) });
    return { status: response.status, body: (await response.json()) as Record<string, unknown> };
  };
  expect(await usage('giant')).toMatchObject({ status: 200, body: { today: { requests: 3, units: null } } });
  expect(await usage('good')).toMatchObject({ status: 200, body: { today: { requests: 1, units: 3 } } });
});

test.each(['/usage', '/history?span=24h', '/history?span=30d', '/refusals'])(
  "the portal's page %s is shown, unknown sums as unknown",
  async (url) => {
    const { status, text } = await get(fixture, url, await visit(fixture, 'giant'));
    expect(status).toBe(200);
    if (url !== '/refusals') expect(text).toMatch(/>\s*unknown\s*</);
    expect(text).not.toMatch(/NaN|Infinity|null/);
  },
);

test.each([
  '/operator/growth?days=1',
  '/operator/growth?days=30',
  '/operator/tenants',
  '/operator/tenants/giant',
])("the operator's page %s is shown", async (url) => {
  const { status, text } = await get(fixture, url, operator);
  expect([status, /NaN|Infinity/.test(text)]).toEqual([200, false]);
});

test('unknown units are an empty field in the file of the history', async () => {
  const cookie = await visit(fixture, 'giant');
  const { text } = await get(fixture, '/history?span=30d&format=csv', cookie);
  const [titles = [], ...rows] = text
    .trim()
    .split('\r\n')
    .map((line) => line.split(','));
  expect(rows.map((row) => [row[titles.indexOf('requests')], row[titles.indexOf('units')]])).toEqual([
    ['3', ''],
  ]);
});

test.each(['GET /admin/v1/tenants', 'GET /admin/v1/tenants/giant', 'GET /admin/v1/tenants/giant/status'])(
  'the admin API answers %s',
  async (what) => {
    expect([200, 404]).toContain((await fixture.admin(what)).status);
  },
);

test('totals are announced with unknown units, read again, and restore nothing', async () => {
  const { clickhouse } = fixture;
  const records: string[] = [];
  const announcer = createAnnouncer({
    clickhouse,
    producer: {
      send: (_topic, sent) => {
        records.push(...sent.map(({ value }) => String(value)));
        return Promise.resolve([]);
      },
      close: () => Promise.resolve(),
    },
    topic: 'totals',
    deadLetters: { write: () => Promise.reject(new Error('no dead letter')) },
    clock,
    calendarOf: () => null,
    completeThroughMs: () => nowMs,
  });
  await announcer.announce(new Map([['giant', { partition: 0, degradedSinceMs: null }]]));
  const [totals] = records.map((value) => readTotals({ key: 'giant', value: Buffer.from(value) }));
  expect(totals).toMatchObject({ day: { requests: 3, units: null, consumed: null } });

  const raised: string[] = [];
  const limiter = {
    raiseQuota: (tenantId: string) => {
      raised.push(tenantId);
      return Promise.resolve({ before: 0, after: 0 });
    },
  };
  const registry = new Registry();
  const restorer = createQuotaRestorer({
    limiter,
    clickhouse,
    drift: createDrift(registry, clock),
    registry,
    logger: pino({ level: 'silent' }),
  } as unknown as Parameters<typeof createQuotaRestorer>[0]);
  const readings = readingsOf(totals as TenantTotals, policy, null, nowMs);
  expect(readings).not.toHaveLength(0);
  expect(await completeReadings(clickhouse, readings)).toMatchObject(
    readings.map(() => ({ sinceReset: null })),
  );
  expect(await restorer.restore(readings, 'excluded')).toEqual([]);
  expect(raised).toEqual([]);
  await restorer.restore(
    await readTenantQuotas({ clickhouse, policy, records: new Map(), nowMs }),
    'counted',
  );
  expect(new Set(raised)).toEqual(new Set(['good']));
});

test('a read of all tenants returns the sums that are known', async () => {
  const { startMs: fromMs } = periodAt('day', null, nowMs);
  const rows = await readConsumed(fixture.clickhouse, { fromMs, tenantIds: null });
  expect(new Map(rows.map(({ tenant_id, units }) => [tenant_id, units]))).toEqual(
    new Map([
      ['giant', null],
      ['good', 3],
    ]),
  );
  const totals = await periodTotals(fixture.clickhouse, ['giant', 'good'], periodAt('month', null, nowMs));
  expect([totals.get('giant')?.units, totals.get('good')?.units]).toEqual([null, 3]);
});
