// Goal: the results of shadow mode cost little, however often the page is viewed.
import { expect, test } from 'vitest';
import type { Invocation } from '../../../../services/cli/command.ts';
import { shadowCommand } from '../../../../services/cli/commands/policy-shadow.ts';
import { shadowSection } from '../../../../services/console/operator/policy/shadow-section.ts';
import type { ClickHouseReader } from '../../../../shared/clickhouse/client.ts';
import { createShadowReader, shadowNames } from '../../../../shared/policy-changes/shadow-results.ts';
import { checkPolicy } from '../../../../shared/policy-changes/policy-editor.ts';
import { readFile } from 'node:fs/promises';

const startMs = Date.parse('2026-11-27T10:00:00Z');

/** A reader over a store whose totals name these hours. `queries` has the SQL of each query. */
async function readerOver(hours: readonly number[], retentionDays: number | null = null) {
  const text = await readFile('policies/default.yaml', 'utf8');
  const checked = checkPolicy(
    text.replace('limit: 100, window: 1m }', 'limit: 100, window: 1m, mode: shadow }'),
    null,
  );
  if (!checked.valid) throw new Error(checked.violations.join());
  const queries: string[] = [];
  const state = { nowMs: startMs, isDown: false };
  const query = (sql: string): Promise<never[]> => {
    queries.push(sql);
    if (state.isDown) return Promise.reject(new Error('down'));
    if (sql.includes('system.tables') && retentionDays !== null)
      return Promise.resolve([{ name: 'stored_events', days: retentionDays }] as never[]);
    return Promise.resolve((sql.includes('DISTINCT') ? hours.map((at) => ({ at_ms: at })) : []) as never[]);
  };
  const clickhouse: ClickHouseReader = { query };
  const read = createShadowReader(clickhouse, () => checked.policy, { now: () => state.nowMs });
  return { read, queries, state, policy: checked.policy };
}

test('views that follow each other within seconds share one read, and a failed read is repeated', async () => {
  const { read, queries, state, policy } = await readerOver([startMs]);
  const [first, second] = await Promise.all([read(), read()]);
  expect(first.limits.map(({ limit_name: name }) => name)).toEqual([...shadowNames(policy)]);
  expect(second).toBe(first);
  expect(await read()).toBe(first);
  expect(queries.filter((sql) => sql.includes('FROM usage_events'))).toHaveLength(1);
  state.nowMs += 5_001;
  state.isDown = true;
  await expect(read()).rejects.toThrow('down');
  state.isDown = false;
  expect(await read()).not.toBe(first);
});

test('a start to the minute has a read of its own', async () => {
  const { read, queries } = await readerOver([startMs]);
  const dayAgoMs = startMs - 86_400_000;
  const results = await read(dayAgoMs + 1_000);
  expect(results.sinceMs).toBe(dayAgoMs);
  expect(await read(dayAgoMs + 59_000)).toBe(results);
  expect((await read()).sinceMs).toBe(startMs - 7 * 86_400_000);
  expect(queries.filter((sql) => sql.includes('FROM usage_events'))).toHaveLength(2);
});

test('only hours with requests over a limit in shadow mode are read, within a limit of time', async () => {
  const { read, queries } = await readerOver([startMs - 7_200_000, startMs - 3_600_000, startMs + 7_200_000]);
  await read();
  const [events = ''] = queries.filter((sql) => sql.includes('FROM usage_events'));
  expect(events.match(/\btime >= /g)).toHaveLength(2);
  expect(events).toContain('max_execution_time');
  const none = await readerOver([]);
  await none.read();
  expect(none.queries.filter((sql) => sql.includes('FROM usage_events'))).toEqual([]);
});

test('results that begin before the oldest stored event state from when on they are complete', async () => {
  const { read } = await readerOver([startMs], 7);
  const storedSinceMs = startMs - 7 * 86_400_000;
  const results = await read(startMs - 31 * 86_400_000);
  expect(results.completeSinceMs).toBe(storedSinceMs);
  expect(shadowSection(results).markup).toContain('Complete only from 2026-11-21 on');
  const { limits } = results;
  const answer = { policy_revision: 'r', since: '', complete_since: '2026-11-20T10:00:00.000Z', limits };
  const call = () => Promise.resolve(answer as never);
  const invocation = { flags: {}, operands: [], nowMs: startMs, call } as unknown as Invocation;
  expect((await shadowCommand.run(invocation)).text).toContain(
    'Complete only from 2026-11-20T10:00:00.000Z on',
  );
  expect((await read()).completeSinceMs).toBeNull();
  expect(shadowSection(await read()).markup).not.toContain('Complete only');
});

test('callers without a tenant have a name and no link', () => {
  const limits = [
    {
      ...{ limit_name: 'minute', requests: 1, tenants: 1, since: null, since_is_start: false, by_day: [] },
      by_tenant: [{ tenant_id: 'anonymous', requests: 1, decision_id: '019a' }],
    },
  ];
  const { markup } = shadowSection({ sinceMs: startMs, completeSinceMs: null, limits });
  expect(markup).toContain('anonymous callers');
  expect(markup).not.toContain('/operator/tenants/anonymous');
});
