import { describe, expect, test } from 'vitest';
import { eventually, uniqueName } from '../../support/servers.ts';
import { storeUsage } from '../../support/stored-usage.ts';
import { get, post, visit } from './browser.ts';
import { adminToken, createFixture } from './fixture.ts';
import type { Fixture } from './fixture.ts';

describe('a store that does not answer', () => {
  test('without ClickHouse the live limits are shown, and missing totals are marked, never shown as zero', async () => {
    const lame = await createFixture({ clickhouseUrl: 'http://127.0.0.1:9' });
    try {
      const id = uniqueName('no-clickhouse');
      await lame.spend(id, 12);
      const cookie = await visit(lame, id);
      const { text, status } = await get(lame, '/usage', cookie);
      expect(status).toBe(200);
      expect(text).toMatch(/data-slot="used">12</);
      expect(text).toContain('Today&#39;s totals cannot be shown right now');
      expect(text).toContain('The graph cannot be shown right now');
      expect(text).not.toContain('No requests');
      expect((await get(lame, '/refusals', cookie)).text).toContain('cannot be shown right now');
      const list = await lame.admin('GET /admin/v1/tenants');
      expect(list.body).toMatchObject({ usage_known: false });
      expect((await lame.admin(`GET /admin/v1/tenants/${id}/status`)).status).toBe(503);
      const reset = await lame.admin(`POST /admin/v1/tenants/${id}/reset`);
      expect(reset.status, 'a reset that cannot record what it took out is refused').toBe(503);
    } finally {
      await lame.dispose();
    }
  });

  test('without Redis the history is shown, and live usage is marked as missing', async () => {
    const lame = await createFixture({ redisUrl: 'redis://127.0.0.1:9' });
    try {
      const id = uniqueName('no-redis');
      await storeUsage(lame.clickhouse, [{ timeMs: Date.now() - 1000, tenant: id }]);
      const cookie = await visit(lame, id);
      const { text } = await eventually(async () => {
        const page = await get(lame, '/usage', cookie);
        return page.text.includes('Live usage cannot be shown') ? page : null;
      });
      expect(text).toContain('data-chart');
      expect(text).not.toMatch(/data-slot="used"/);
      expect((await lame.admin(`GET /admin/v1/tenants/${id}/status`)).status).toBe(503);
      expect((await lame.admin(`POST /admin/v1/tenants/${id}/reset`)).status).toBe(503);
    } finally {
      await lame.dispose();
    }
  });
});

describe('the start page of operators', () => {
  const start = async (on: Fixture): Promise<string> => {
    const session = await post(on, '/operator/sign-in', { token: adminToken, name: 'kim' });
    const { text } = await get(on, '/operator/start', session.cookie.split(';')[0] ?? '');
    return text.replaceAll(/\s+/g, ' ');
  };
  const now = (): string => new Date().toISOString();

  test('names gateways, losses, the pipeline and failing targets that need attention', async () => {
    const fixture = await createFixture();
    try {
      const quiet = await start(fixture);
      expect(quiet).toContain('No gateway reports, and none served a request in the last month.');
      expect(quiet).toContain('Every target accepted its last notification.');
      expect(quiet).toContain('there are no totals.');
      await fixture.reports.write({
        ...{ kind: 'gateway', name: 'gw-1', at: now(), policy: 'other', refused_edit: 'p.yaml:3:1: no plan' },
        ...{ redis_unavailable: 2, without_redis_at: now(), spool_failure: null },
      });
      const audit = { name: '', at: now(), is_failed: false, units_ahead: 0, interval_ms: 300_000 } as const;
      const found = { ...audit, is_cut: false, lost_events: 4, disagreeing_days: 0, spools_set_back: 0 };
      await fixture.reports.write({ ...found, kind: 'loss-audit' });
      await fixture.reports.write({ ...found, kind: 'last-loss' });
      const [id, address] = [uniqueName('failing'), 'ops@example.com'];
      const stored = await fixture.admin(`PUT /admin/v1/tenants/${id}`, {
        notifications: { emails: [address] },
      });
      expect(stored.status, JSON.stringify(stored.body)).toBeLessThan(300);
      const alert = { time: now(), tenant_id: id, kind: 'threshold', limit_name: 'day', period: now() };
      const failed = { status: 'dead', attempts: 3, error: 'HTTP 500' };
      const sent = { ...alert, channel: 'email', target: address, threshold: 0.8, used: 80, limit: 100 };
      await fixture.clickhouse.insert('stored_alerts', [
        { ...sent, alert_id: 'a', ...failed },
        { ...sent, alert_id: 'b', ...failed, target: 'removed@example.com' },
        { ...sent, alert_id: 'c', ...failed, channel: 'log', target: '' },
      ]);
      const generation = { marker_key: 'tg:{=alive.0}', generation: 2 };
      await fixture.clickhouse.insert('counter_generations', [generation]);
      const page = await start(fixture);
      expect(page).toContain('Gateway gw-1 decides without 2 Redis servers');
      expect(page).toContain('Gateway gw-1 refused the last edit of its policy file: p.yaml:3:1: no plan');
      expect(page).toContain('found 4 lost events.');
      expect(page).toContain('Counters of Redis were rebuilt');
      expect(page).toContain(
        `1 notification of ${id} could not be delivered by email to ${address}: HTTP 500`,
      );
      expect(page).not.toContain('removed@example.com');
      await fixture.clickhouse.insert('stored_alerts', [
        { ...sent, time: new Date(Date.now() + 1000).toISOString(), alert_id: 'd', ...failed, error: '' },
      ]);
      expect(await start(fixture)).toContain('Every target accepted its last notification.');
      const [later, disabled] = [new Date(Date.now() + 2000).toISOString(), 'the target answered 410 before'];
      await fixture.clickhouse.insert('stored_alerts', [
        { ...sent, time: later, alert_id: 'e', status: 'dropped', attempts: 0, error: disabled },
      ]);
      expect(await start(fixture)).toContain(`by email to ${address}: ${disabled}`);
    } finally {
      await fixture.dispose();
    }
  });

  test('says which parts cannot be read, and shows the others', async () => {
    const [noClickHouse, noRedis] = await Promise.all([
      createFixture({ clickhouseUrl: 'http://127.0.0.1:9' }),
      createFixture({ redisUrl: 'redis://127.0.0.1:9' }),
    ]);
    try {
      const withoutClickHouse = await start(noClickHouse);
      for (const part of [
        'Usage of the tenants',
        'The state of the pipeline',
        'The deliveries of notifications',
      ])
        expect(withoutClickHouse).toContain(`${part} cannot be shown right now`);
      expect(withoutClickHouse).toContain('No gateway has reported within an hour.');
      expect(withoutClickHouse).toContain('Every message could be read.');
      await storeUsage(noRedis.clickhouse, [{ timeMs: Date.now(), tenant: uniqueName('active') }]);
      const withoutRedis = await start(noRedis);
      expect(withoutRedis).not.toContain('No tenant is near a limit');
      for (const part of ['Live usage', 'The state of the gateways', 'The result of the loss audits'])
        expect(withoutRedis).toContain(`${part} cannot be shown right now`);
      expect(withoutRedis).toContain('Every target accepted its last notification.');
    } finally {
      await Promise.all([noClickHouse.dispose(), noRedis.dispose()]);
    }
  });
});
