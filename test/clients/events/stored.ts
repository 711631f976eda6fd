import { expect } from 'vitest';
import type { PolicyRun } from '../../support/policy-run.ts';
import { eventually } from '../../support/servers.ts';

/** Waits until the tenant has exactly these events, each stored once and counted with one unit in the totals. */
export async function untilStored(run: PolicyRun, tenant: string, ids: readonly string[]): Promise<void> {
  await eventually(
    async () => {
      const rows = await run.clickhouse.query<{ id: string }>(
        'SELECT event_id AS id FROM usage_events WHERE tenant_id = {tenant:String} ORDER BY id',
        { tenant },
      );
      expect(rows.map(({ id }) => id)).toEqual([...ids].sort());
      const [sums] = await run.clickhouse.query(
        'SELECT sum(u.requests) AS events, sum(u.units) AS units FROM usage_by_day AS u WHERE tenant_id = {tenant:String}',
        { tenant },
      );
      expect(sums).toEqual({ events: ids.length, units: ids.length });
      return true;
    },
    { intervalMs: 100 },
  );
}
