import { describe, expect, test } from 'vitest';
import { eventually, uniqueName } from '../../support/servers.ts';
import { storeUsage } from '../../support/stored-usage.ts';
import { get, visit } from './browser.ts';
import { createFixture } from './fixture.ts';

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
