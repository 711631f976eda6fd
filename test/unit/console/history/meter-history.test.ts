import { Registry } from 'prom-client';
import { describe, expect, test } from 'vitest';
import { createParts } from '../../../../services/console/browser/parts.ts';
import type { HistorySources } from '../../../../services/console/portal/history/history-frame.ts';
import { meterContent } from '../../../../services/console/portal/history/meter-content.ts';
import { wantedMeter, windowStarts } from '../../../../services/console/portal/history/wanted-meter.ts';
import type { WantedMeter } from '../../../../services/console/portal/history/wanted-meter.ts';
import type { Visit, Visitor } from '../../../../services/console/portal/visitor.ts';
import { rowsMax } from '../../../../shared/clickhouse/queries/meters.ts';
import type { MeterQuery, MeterResult, MeterRow } from '../../../../shared/clickhouse/queries/meters.ts';
import type { MeterDefinition } from '../../../../shared/domain/meter.ts';
import type { Policy } from '../../../../shared/domain/policy.ts';
import { createUsageReader } from '../../../../shared/tenants/usage-reader.ts';

const nowMs = Date.parse('2026-11-27T10:07:31Z');
const tokens: MeterDefinition = {
  ...{ name: 'tokens', eventType: 'llm', aggregation: 'sum', value: 'tokens', groupBy: ['user'] },
};

function wantedOf(definition: MeterDefinition, fields: Readonly<Record<string, string>>): WantedMeter {
  const meters = new Map([[definition.name, definition]]);
  const wanted = wantedMeter({ ...fields, metric: `meter:${definition.name}` }, meters, 'UTC', nowMs);
  if (wanted === null) throw new Error('no meter');
  return wanted;
}

/** The page of a meter as text, from the results of its queries. */
async function pageOf(wanted: WantedMeter, meter: (query: MeterQuery) => MeterResult): Promise<string> {
  const request = { url: '/history', query: {} };
  const policy = { currency: 'USD', meters: new Map(), plans: new Map(), routes: [] };
  const sources = {
    reads: { orNull: (read: Promise<unknown>) => read },
    clock: { now: () => nowMs },
    policy: () => policy,
  };
  const usage = {
    meter: (_: unknown, query: MeterQuery) => Promise.resolve(meter(query)),
    eventsStoredSince: () => Promise.resolve(null),
  };
  const content = await meterContent(
    sources as unknown as HistorySources,
    { tenantId: 'acme', zone: 'UTC', usage } as unknown as Visitor,
    { request, parts: createParts({ ...request, query: { wait: '1' } } as never) } as unknown as Visit,
    wanted,
  );
  return String(content?.body).replaceAll(/\s+/g, ' ');
}

function row(atMs: number, user: string | null, value: number): MeterRow {
  const at = new Date(atMs).toISOString();
  return { window_start: at, window_end: at, group: user === null ? {} : { user }, value };
}

describe('a meter with more rows than one result has', () => {
  const wanted = wantedOf(tokens, { span: '30d', by: 'user' });
  const starts = windowStarts(wanted.query);
  // The user at the end of the alphabet has the largest values.
  const users = Array.from({ length: 400 }, (_, index) => `user-${String(index).padStart(3, '0')}`);

  /** Each user has its number on each day. */
  function meter({ window, groupBy, top }: MeterQuery): MeterResult {
    const measured = users.map((user, index) => [user, index] as const).slice(top === null ? 0 : -top);
    const ofWindow = (atMs: number, days: number): MeterRow[] =>
      groupBy.length === 0
        ? [row(atMs, null, (days * (users.length * (users.length - 1))) / 2)]
        : measured.map(([user, value]) => row(atMs, user, days * value));
    const rows =
      window === null
        ? ofWindow(wanted.query.fromMs, starts.length)
        : starts.flatMap((atMs) => ofWindow(atMs, 1));
    return { rows: rows.slice(0, rowsMax), complete_through: null, cut: rows.length > rowsMax };
  }

  test('the latest window has the values of the largest groups and of all others', async () => {
    const page = await pageOf(wanted, meter);
    const last = new RegExp(`<tr data-at="${(starts.at(-1) ?? 0) / 1000}">.*?</tr>`).exec(page)?.[0] ?? '';
    const values = [...last.matchAll(/data-value="([^"]*)"/g)].map(([, value]) => Number(value));
    expect(values).toEqual([399, 398, 397, 396, 395, (400 * 399) / 2 - 5 * 397]);
    expect(page).toContain('All others');
  });

  test('the table has the largest groups, and does not refer to the file, which is cut too', async () => {
    const page = await pageOf(wanted, meter);
    const listed = [...page.matchAll(/only\.user=(user-\d+)/g)].map(([, user]) => user);
    expect(listed).toEqual(users.toReversed().slice(0, 100));
    expect(page).not.toContain('more are in the CSV file');
    expect(page).toContain('These are the 100 largest.');
  });
});

test.each([
  ['sum', 'USD 3.00'],
  ['unique', '3'],
] as const)('the %s of costs is shown as %s', async (aggregation, text) => {
  const wanted = wantedOf({ ...tokens, aggregation, value: 'cost' }, { span: '24h' });
  const page = await pageOf(wanted, ({ fromMs }) => ({
    ...{ rows: [row(fromMs, null, 3)], complete_through: null, cut: false },
  }));
  expect(/data-slot="total"> ?([^<]*?) ?</.exec(page)?.[1]).toBe(text);
});

test('a page reads only the hours that have events of the tenant and type, within a limit of time', async () => {
  const queries: string[] = [];
  const clickhouse = {
    query: (sql: string) => {
      queries.push(sql);
      return Promise.resolve([]);
    },
  };
  const usage = createUsageReader({ clickhouse, policy: () => ({}) as Policy, registry: new Registry() });
  const { query } = wantedOf(tokens, { span: '90d', by: 'user' });
  await usage.meter(tokens, { ...query, tenantId: 'acme', top: 5 });
  const [events = ''] = queries.filter((sql) => sql.includes('FROM usage_events'));
  // The values, and the groups with the largest values.
  expect(events.match(/FROM usage_events/g)).toHaveLength(2);
  expect(
    events.match(/FROM usage_by_hour\s+WHERE tenant_id = \{tenant:String\} AND type = \{type:String\}/g),
  ).toHaveLength(2);
  expect(events).toMatch(/SETTINGS max_execution_time = \d/);
});
