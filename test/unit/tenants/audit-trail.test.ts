import { expect, test, vi } from 'vitest';
import type { TenantRecord } from '../../../shared/domain/tenant.ts';
import { createAuditTrail } from '../../../shared/tenants/audit-trail.ts';
import { entryId } from '../../../shared/tenants/record/audited-change.ts';

vi.mock('../../../shared/tenants/record/audited-change.ts', { spy: true });

const records = Array.from({ length: 100 }, (_, tenant): TenantRecord => ({
  ...{ tenant_id: `t${tenant}`, updated_at: '', updated_by: '' },
  history: Array.from({ length: 50 }, (_change, at) => ({
    // Several entries of each millisecond.
    at: new Date(1_800_000_000_000 + at * 7 + (tenant % 5)).toISOString(),
    ...{ actor: 'robin', action: 'patch', detail: `change ${at}` },
  })),
}));
const trail = createAuditTrail({
  clickhouse: { query: () => Promise.reject(new Error('no ClickHouse')) } as never,
  directory: { all: () => records, get: () => undefined } as never,
  reads: { orNull: (read: Promise<unknown>) => read.catch(() => null) } as never,
});

test('a page computes ids of its own entries only, and the pages have each entry once, in order', async () => {
  await trail.read({}, 20);
  expect(vi.mocked(entryId).mock.calls.length).toBeLessThan(60);
  const ids: string[] = [];
  const times: number[] = [];
  let cursor: string | undefined;
  do {
    const page = await trail.read({}, 333, cursor);
    ids.push(...page.entries.map(({ id }) => id));
    times.push(...page.entries.map(({ at }) => Date.parse(at)));
    cursor = page.nextCursor ?? undefined;
  } while (cursor !== undefined);
  expect(new Set(ids).size).toBe(5_000);
  expect(ids).toHaveLength(5_000);
  expect(times).toEqual(times.toSorted((a, b) => b - a));
  // Each id is computed once, however often its entry is read.
  expect(vi.mocked(entryId)).toHaveBeenCalledTimes(5_000);
});
